// Rules from files: each file of a directory is one name, and its text goes through the readers of `config`.
import type { Log } from '../base/log.ts';
import { parseFile } from '../config/parse.ts';
import { DirectorySource } from './directory-source.ts';
import type { RuleSink, RuleSource } from './rule-source.ts';

export class DirectoryRules implements RuleSource {
  readonly #directory: string;
  readonly #log: Log;
  #source: DirectorySource | null = null;

  constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#log = log;
  }

  async start({ apply, remove }: RuleSink): Promise<void> {
    this.#source = new DirectorySource({
      directory: this.#directory,
      log: this.#log,
      onFile: (file, text) => apply(file, parseFile(file, text)),
      onRemoved: remove,
    });
    await this.#source.start();
  }

  async stop(): Promise<void> {
    await this.#source?.stop();
  }
}

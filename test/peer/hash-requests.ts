// Many requests one after the other on one connection, of which only the bodies are of interest: the names of
// the endpoints that answered.
import { Agent, request } from 'node:http';

export interface Asked {
  readonly path: string;
  /** Header lines, as they stand. */
  readonly lines: readonly string[];
}

/** The bodies of the responses; `status N` where it is not 200. */
export async function askAll(port: number, requests: readonly Asked[]): Promise<readonly string[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const bodies: string[] = [];
  for (const one of requests) bodies.push(await ask(agent, port, one));
  agent.destroy();
  return bodies;
}

/** The Set-Cookie lines of a response, and the port that it was asked from. */
export function askCookies(
  port: number,
  path: string,
): Promise<{ readonly cookies: readonly string[]; readonly localPort: number }> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', path, agent: false }, (response) => {
      const localPort = response.socket.localPort ?? 0;
      response.resume();
      response.on('end', () => resolve({ cookies: response.headers['set-cookie'] ?? [], localPort }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

function ask(agent: Agent, port: number, { path, lines }: Asked): Promise<string> {
  const headers = [...lines, 'host: example.test'].flatMap((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  return new Promise((resolve, reject) => {
    const sent = request({ agent, port, host: '127.0.0.1', path, headers }, (response) => {
      let body = '';
      response.setEncoding('latin1');
      response.on('data', (data: string) => (body += data));
      response.on('end', () => resolve(response.statusCode === 200 ? body : `status ${response.statusCode}`));
    });
    sent.on('error', reject);
    sent.end();
  });
}

// An instance of a service, as a process: it answers 200 or, while it is told to fail, 503. `POST /fail` and `POST /heal` change
// its mind; `GET /count` says how many requests it has had. Argument: its port.
import { createServer } from 'node:http';

const [port = ''] = process.argv.slice(2);
let isFailing = false;
let count = 0;

createServer((incoming, outgoing) => {
  switch (incoming.url) {
    case '/fail':
    case '/heal':
      isFailing = incoming.url === '/fail';
      outgoing.writeHead(204).end();
      return;
    case '/count':
      outgoing.end(String(count));
      return;
    default:
      count++;
      outgoing.writeHead(isFailing ? 503 : 200).end(isFailing ? 'failing' : 'done');
  }
}).listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'));

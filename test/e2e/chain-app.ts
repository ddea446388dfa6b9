// An application in a chain of services, run as a process: it asks the next one through its sidecar and answers what that
// one answered; the last one answers by itself, 200 or, while it is told to fail, 503. Like any application in a mesh
// it passes on the trace headers of the request that it works for. `POST /fail` and `POST /heal` change its mind;
// `GET /count` says how many requests it has had. Arguments: its port, its sidecar's outbound port, the next host.
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';

const [port = '', outbound = '', next = ''] = process.argv.slice(2);
const PASSED_ON = ['x-request-id', 'traceparent', 'tracestate'];
const agent = new Agent({ keepAlive: true, maxSockets: 512 });
let isFailing = false;
let count = 0;

function answer(incoming: IncomingMessage, outgoing: ServerResponse): void {
  count++;
  if (next === '') {
    outgoing.writeHead(isFailing ? 503 : 200).end(isFailing ? 'failing' : 'done');
    return;
  }
  const headers = { host: next, ...Object.fromEntries(PASSED_ON.map((name) => [name, incoming.headers[name] ?? ''])) };
  const call = request({ host: '127.0.0.1', port: Number(outbound), agent, path: '/work', headers }, (response) => {
    response.resume();
    response.once('end', () => outgoing.writeHead(response.statusCode ?? 500).end());
  });
  call.once('error', () => outgoing.writeHead(500).end());
  call.end();
}

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
      answer(incoming, outgoing);
  }
}).listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'));

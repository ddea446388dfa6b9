// The `http-proxy` package as a baseline: `node test/bench/http-proxy.ts LISTEN_PORT UPSTREAM_PORT`.
import { Agent, createServer } from 'node:http';
import { createProxyServer } from 'http-proxy';

const [listenPort, upstreamPort] = process.argv.slice(2).map(Number);

const proxy = createProxyServer({
  target: `http://127.0.0.1:${upstreamPort}`,
  agent: new Agent({ keepAlive: true, maxSockets: 256 }),
});
proxy.on('error', (_cause, _request, response) => {
  if (response !== undefined && 'writeHead' in response && !response.headersSent) response.writeHead(502);
  response?.end();
});

createServer((request, response) => {
  proxy.web(request, response);
}).listen(listenPort, '127.0.0.1');

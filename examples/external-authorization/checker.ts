// An authorization service in a few lines: whoever says `x-visitor: ann` may go on, and the app learns who checked.
// Any HTTP server will do: 200 lets the request through, anything else below 500 is the answer to the caller.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  if (request.headers['x-visitor'] === 'ann') {
    response.writeHead(200, { 'x-checked-by': 'checker' }).end();
    return;
  }
  const reason = request.headers['x-visitor'] === undefined ? 'nobody' : 'stranger';
  response.writeHead(403, { 'x-reason': reason, 'content-type': 'text/plain' }).end(`you may not see ${request.url}\n`);
});
server.listen(Number(process.env['PORT'] ?? 9600), '127.0.0.1');

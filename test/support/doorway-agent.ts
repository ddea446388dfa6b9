// The inner half of doorway.ts: listens on the address of its arguments in the namespace that it runs in, and hands the
// listening socket to its parent. It ends with its channel.
import { createServer } from 'node:net';

const [, , host = '', port = ''] = process.argv;
const server = createServer();
server.listen({ host, port: Number(port) }, () => {
  // Left open here it would take connections away from the parent.
  process.send?.('listening', server, () => server.close());
});
process.on('message', () => {});

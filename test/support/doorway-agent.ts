// The inner half of doorway.ts: listens on the address of its arguments in the namespace that it runs in, and hands the
// listening socket to its parent. It ends with its channel.
import { createServer } from 'node:net';

const [, , host = '', port = ''] = process.argv;
const server = createServer();
server.listen({ host, port: Number(port) }, () => process.send?.('listening', server));
process.on('message', () => {});

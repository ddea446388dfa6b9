// An issuer of tokens for trying things out: it makes a key when it starts, publishes the public half at /keys.json,
// and gives whoever asks a token at /token?sub=ann&group=beta. PORT says where; nothing of it is for production.
import { createServer } from 'node:http';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';

const port = Number(process.env['PORT'] ?? '9300');
const issuer = 'https://issuer.example.com';
const { publicKey, privateKey } = await generateKeyPair('RS256');
const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }] });

createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (url.pathname === '/keys.json') {
    response.end(keys);
    return;
  }
  const claims = Object.fromEntries(url.searchParams);
  void new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256', kid: 'one' })
    .setIssuer(issuer)
    .setAudience('shop')
    .setExpirationTime('1h')
    .sign(privateKey)
    .then((token) => response.end(token));
}).listen(port, '127.0.0.1');

// Header edits: levels and their order, append actions, formatters.
import { reply } from '../../support/raw-upstream.ts';
import type { CaseTable, PeerCase } from '../peer-case.ts';

const GONE = ['cluster', 'route', 'vhost', 'config'].map((level) => `x-gone-${level}: 1`);
const LEVELS = [...GONE, 'x-level: sent', 'x-list: sent', 'x-kept: 1'];

const levels = (to: string): readonly PeerCase[] =>
  ['/weighted', '/route', '/plain', '/direct'].map((path) => ({
    name: `${to}: ${path}`,
    send: `GET ${path}`,
    to,
    headers: LEVELS,
    answer: reply('200 OK', LEVELS),
    is: path === '/direct' ? '200' : '200 a',
  }));

const THERE = ['x-append: old', 'x-absent: old', 'x-over: old', 'x-exists: old'];

export const HEADER_CASES: CaseTable = {
  'header-levels': [...levels('main'), ...levels('specific')],
  'header-actions': [
    { name: 'actions on nothing', send: 'GET /actions', is: '200 a' },
    {
      name: 'actions on what is there',
      send: 'GET /actions',
      headers: THERE,
      answer: reply('200 OK', THERE),
      is: '200 a',
    },
    {
      name: 'actions on what is there twice',
      send: 'GET /actions',
      headers: [...THERE, ...THERE],
      answer: reply('200 OK', [...THERE, ...THERE]),
      is: '200 a',
    },
    {
      name: 'actions on empty values',
      send: 'GET /actions',
      headers: ['x-append:', 'x-absent:', 'x-over:', 'x-exists:'],
      is: '200 a',
    },
    {
      name: 'removal comes before addition, in any case',
      send: 'GET /remove',
      headers: ['x-a: 1', 'x-b: 1', 'x-A: 2', 'User-Agent: me', 'x-c: 1'],
      answer: reply('200 OK', ['x-a: 1', 'X-b: 1', 'content-type: text/plain', 'x-c: 1']),
      is: '200 a',
    },
    { name: 'empty values', send: 'GET /empty', is: '200 a' },
    { name: 'empty values filled', send: 'GET /empty', headers: ['x-missing: here'], is: '200 a' },
    {
      name: 'headers joined by comma',
      send: 'GET /joined',
      headers: ['accept: a/b', 'cookie: a=1', 'cookie: b=2', 'x-forwarded-for: 1.1.1.1', 'user-agent: me'],
      is: '200 a',
    },
    { name: 'headers joined by comma, alone', send: 'GET /joined', is: '200 a' },
    {
      name: 'response headers that come many times',
      send: 'GET /response',
      answer: reply('200 OK', ['set-cookie: a=1', 'vary: accept', 'vary: cookie', 'server: theirs']),
      is: '200 a',
    },
    { name: 'the older append flag', send: 'GET /old', headers: ['x-a: 1', 'x-b: 1'], is: '200 a' },
  ],
  'header-formatters': [
    {
      name: 'everything sent',
      send: 'GET /all?q=1',
      headers: ['x-in: value'],
      answer: reply('200 OK', ['x-up: 1']),
      is: '200 a',
    },
    { name: 'nothing sent', send: 'GET /all', is: '200 a' },
    { name: 'a header sent twice', send: 'GET /all', headers: ['x-in: one', 'x-in: two'], is: '200 a' },
    { name: 'a client that was forwarded', send: 'GET /all', headers: ['x-forwarded-for: 8.8.8.8'], is: '200 a' },
    { name: 'one of several', send: 'GET /all', headers: ['x-forwarded-for: 8.8.8.8, 9.9.9.9'], is: '200 a' },
    { name: 'one by IPv6', send: 'GET /all', headers: ['x-forwarded-for: 2001:db8::1'], is: '200 a' },
    { name: 'one that is no address', send: 'GET /all', headers: ['x-forwarded-for: somebody'], is: '200 a' },
    { name: 'on a direct response', send: 'GET /direct', headers: ['x-in: value'], is: '202' },
    { name: 'on an answer made for a failure', send: 'GET /empty', headers: ['x-in: value'], is: '503' },
  ],
};

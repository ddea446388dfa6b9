// What is understood of a server's own version.
import { expect, it } from 'vitest';
import { minorVersion } from '../../../src/kube/discovery.ts';
import { done } from '../../../src/kube/kube-answer.ts';

it.each([
  { answer: { major: '1', minor: '36', gitVersion: 'v1.36.0' }, minor: 36 },
  { answer: { major: '1', minor: '27+' }, minor: 27 },
  { answer: { major: '2', minor: '1' }, minor: 'Malformed' },
  { answer: { major: '1', minor: '' }, minor: 'Malformed' },
  { answer: { major: '1', minor: '29x' }, minor: 'Malformed' },
  { answer: [], minor: 'Malformed' },
])('of $answer it is $minor', async ({ answer, minor }) => {
  const asked: string[] = [];
  const call = ({ path }: { readonly path: string }) => {
    asked.push(path);
    return Promise.resolve(done<unknown>(answer));
  };
  const read = await minorVersion({ call });
  expect(read.kind === 'done' ? read.value : read.failure.reason).toBe(minor);
  expect(asked).toEqual(['/version']);
});

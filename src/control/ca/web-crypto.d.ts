// Names of Web Cryptography that the declarations of @peculiar/x509 take from a browser's library. Node has the same
// types under `webcrypto`; the whole library of a browser would bring `window` and thousands of other names along.
type Algorithm = import('node:crypto').webcrypto.Algorithm;
type AlgorithmIdentifier = import('node:crypto').webcrypto.AlgorithmIdentifier;
type BufferSource = ArrayBufferView | ArrayBuffer;
type CryptoKeyPair = import('node:crypto').webcrypto.CryptoKeyPair;
type EcKeyGenParams = import('node:crypto').webcrypto.EcKeyGenParams;
type EcKeyImportParams = import('node:crypto').webcrypto.EcKeyImportParams;
type EcdsaParams = import('node:crypto').webcrypto.EcdsaParams;
type KeyUsage = import('node:crypto').webcrypto.KeyUsage;
type RsaHashedImportParams = import('node:crypto').webcrypto.RsaHashedImportParams;

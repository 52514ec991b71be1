/**
 * Known answers for the self-test at start, as hex. Each is printed in the document that its `source` names.
 *
 * @module
 */

/** One sealing with its result. */
export interface AeadAnswer {
  readonly source: string;
  readonly key: string;
  readonly nonce: string;
  readonly aad: string;
  readonly plain: string;
  /** Ciphertext and tag. */
  readonly sealed: string;
}

/** One key agreement with its result. */
export interface DhAnswer {
  readonly source: string;
  readonly privateKey: string;
  readonly publicKey: string;
  readonly peerPublicKey: string;
  readonly shared: string;
}

/** One hash (`key` absent) or HMAC with its result. */
export interface HashAnswer {
  readonly source: string;
  readonly key?: string;
  readonly message: string;
  readonly digest: string;
}

/** One HKDF extraction and expansion. */
export interface HkdfAnswer {
  readonly source: string;
  readonly keyingMaterial: string;
  readonly salt: string;
  readonly info: string;
  readonly pseudorandomKey: string;
  readonly output: string;
}

/** ChaCha20-Poly1305. */
export const CHACHA20_POLY1305_ANSWERS: readonly AeadAnswer[] = [
  {
    source: "RFC 8439 §2.8.2",
    key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
    nonce: "070000004041424344454647",
    aad: "50515253c0c1c2c3c4c5c6c7",
    plain:
      "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c64206f66" +
      "66657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c64206265" +
      "2069742e",
    sealed:
      "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b" +
      "2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586ce" +
      "c64b61161ae10b594f09e26a7e902ecbd0600691",
  },
];

/** AES-256-GCM, from the algorithm's submission (McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B). */
export const AES_256_GCM_ANSWERS: readonly AeadAnswer[] = [
  {
    source: "GCM test case 13",
    key: "0000000000000000000000000000000000000000000000000000000000000000",
    nonce: "000000000000000000000000",
    aad: "",
    plain: "",
    sealed: "530f8afbc74536b9a963b4f1c4cb738b",
  },
  {
    source: "GCM test case 16",
    key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
    nonce: "cafebabefacedbaddecaf888",
    aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    plain:
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de6" +
      "57ba637b39",
    sealed:
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a" +
      "0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
  },
];

/** X25519. */
export const X25519_ANSWERS: readonly DhAnswer[] = [
  {
    source: "RFC 7748 §6.1",
    privateKey: "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    publicKey: "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    peerPublicKey: "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    shared: "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
  },
];

/** SHA-256 and HMAC-SHA-256. */
export const SHA256_ANSWERS: readonly HashAnswer[] = [
  {
    source: "FIPS 180-2 appendix B.1",
    message: "616263",
    digest: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  },
  {
    source: "RFC 4231 §4.2",
    key: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
    message: "4869205468657265",
    digest: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
  },
];

/** HKDF over SHA-256. */
export const HKDF_SHA256_ANSWERS: readonly HkdfAnswer[] = [
  {
    source: "RFC 5869 appendix A.1",
    keyingMaterial: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
    salt: "000102030405060708090a0b0c",
    info: "f0f1f2f3f4f5f6f7f8f9",
    pseudorandomKey: "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
    output: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
  },
  {
    source: "RFC 5869 appendix A.3",
    keyingMaterial: "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
    salt: "",
    info: "",
    pseudorandomKey: "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
    output: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
  },
];

// What picture some bytes are, and how large it would be: told by the bytes themselves, before a browser unpacks them.

/**
 * By their beginning and not by what a name says; undefined for all else. Nothing that may hold a script is among them.
 * @param {Uint8Array} bytes
 */
export function pictureType(bytes) {
  const begins = (...wanted) => wanted.every((byte, index) => byte === undefined || bytes[index] === byte);
  if (begins(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return 'image/png';
  if (begins(0xff, 0xd8, 0xff)) return 'image/jpeg';
  if (begins(0x47, 0x49, 0x46, 0x38)) return 'image/gif';
  const any = undefined;
  if (begins(0x52, 0x49, 0x46, 0x46, any, any, any, any, 0x57, 0x45, 0x42, 0x50)) return 'image/webp';
  return undefined;
}

/**
 * Width and height in pixels, or undefined where the bytes don't say. A few hundred bytes may be some billion pixels.
 * @param {Uint8Array<ArrayBuffer>} bytes all of the picture @returns {[number, number] | undefined}
 */
export function pictureSize(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    switch (pictureType(bytes)) {
      case 'image/png': return [view.getUint32(16), view.getUint32(20)];
      case 'image/gif': return [view.getUint16(6, true), view.getUint16(8, true)];
      case 'image/webp': return webpSize(view);
      case 'image/jpeg': return jpegSize(view);
      default: return undefined;
    }
  } catch {
    return undefined; // it ends before it says
  }
}

/** @param {DataView} view @returns {[number, number]} */
function webpSize(view) {
  const kind = view.getUint8(15);
  const third = (at) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  if (kind === 0x58) return [third(24) + 1, third(27) + 1]; // VP8X
  if (kind !== 0x4c) return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff]; // VP8
  const bits = view.getUint32(21, true); // VP8L
  return [(bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1];
}

/** @param {DataView} view @returns {[number, number]} */
function jpegSize(view) {
  let at = 2;
  for (;;) {
    while (view.getUint8(at) !== 0xff) at += 1;
    while (view.getUint8(at) === 0xff) at += 1;
    const marker = view.getUint8(at);
    at += 1;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return [view.getUint16(at + 5), view.getUint16(at + 3)];
    if (marker !== 1 && (marker < 0xd0 || marker > 0xd8)) at += view.getUint16(at);
  }
}

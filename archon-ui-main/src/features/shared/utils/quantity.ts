/** Money, sizes and counts in words. */

/** "$0.42"; below a cent with four places, so that small turns do not read as free. */
export function money(usd: number): string {
  if (usd > 0 && usd < 0.01) return `$${usd.toFixed(4)}`;
  return `$${usd.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** "1.4 MB", in powers of 1,000 as disks are sold. */
export function bytes(size: number): string {
  let at = 0;
  let left = size;
  while (left >= 1000 && at < UNITS.length - 1) {
    left /= 1000;
    at += 1;
  }
  return `${at === 0 || left >= 100 ? Math.round(left) : left.toFixed(1)} ${UNITS[at]}`;
}

/** "1,623". */
export const count = (n: number): string => n.toLocaleString("en");

/** "1 file", "3 files". */
export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

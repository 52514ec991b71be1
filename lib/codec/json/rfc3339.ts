/**
 * RFC 3339 times, the form in which the JSON payloads carry them.
 *
 * @module
 */

const MILLIS_PER_DAY = 86_400_000;
/** 9999-12-31T23:59:59.999Z. */
const LAST_MILLIS = 253_402_300_799_999;
/** Days from 0000-03-01 to 1970-01-01. */
const EPOCH_DAYS = 719_468;
const DAYS_PER_ERA = 146_097;

const PATTERN = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

/**
 * Milliseconds since 1970 as `1970-01-01T00:00:00.000Z`.
 *
 * @throws RangeError outside the years 1970 to 9999.
 */
export function formatRfc3339(millis: number): string {
  if (!(Number.isInteger(millis) && millis >= 0 && millis <= LAST_MILLIS)) {
    throw new RangeError(`${millis} is not a time in milliseconds from 1970 to 9999`);
  }
  const days = Math.floor(millis / MILLIS_PER_DAY);
  const { year, month, day } = civilFromDays(days);
  let rest = millis - days * MILLIS_PER_DAY;
  const fraction = rest % 1000;
  rest = (rest - fraction) / 1000;
  const second = rest % 60;
  rest = (rest - second) / 60;
  const minute = rest % 60;
  const hour = (rest - minute) / 60;
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}T${pad(hour, 2)}:${pad(minute, 2)}:${pad(second, 2)}.${
    pad(fraction, 3)
  }Z`;
}

/** The milliseconds since 1970 of a time (finer parts are cut off); undefined if it is none, or before 1970. */
export function parseRfc3339(text: string): number | undefined {
  const match = PATTERN.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number);
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined;
  // A leap second is the last of its minute.
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const fraction = Number((match[7] ?? "").padEnd(3, "0").slice(0, 3));
  let minutes = hour * 60 + minute;
  if (match[8] !== undefined) {
    const offsetHour = Number(match[9]), offsetMinute = Number(match[10]);
    if (offsetHour > 23 || offsetMinute > 59) return undefined;
    minutes -= (match[8] === "+" ? 1 : -1) * (offsetHour * 60 + offsetMinute);
  }
  const millis = daysFromCivil(year, month, day) * MILLIS_PER_DAY + (minutes * 60 + second) * 1000 + fraction;
  return millis < 0 ? undefined : millis;
}

/** Years begin in March here, so that the leap day is a year's last. */
function civilFromDays(days: number): { year: number; month: number; day: number } {
  const shifted = days + EPOCH_DAYS;
  const era = Math.floor(shifted / DAYS_PER_ERA);
  const dayOfEra = shifted - era * DAYS_PER_ERA;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day };
}

function daysFromCivil(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * DAYS_PER_ERA + dayOfEra - EPOCH_DAYS;
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function pad(value: number, length: number): string {
  return String(value).padStart(length, "0");
}

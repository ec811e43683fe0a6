/**
 * Reads RabbitMQ's new-style configuration file: lines of `key = value`,
 * comments with `#` (or `##`, `%%`), values bare or in single quotes.
 *
 * In: the file's text and name. Out: entries with file and line, and a
 * problem for every line that is neither. Knows no setting.
 * Source: cuttlefish's conf format.
 */
import { type Entry, Layer, type Problem } from './setting.ts';

const keyPattern = /^[A-Za-z0-9_$-]+(?:\.(?:[A-Za-z0-9_$@*-]|\\.)+)*$/;

export function parseRabbitmqConf(
  content: string,
  fileName: string,
): { readonly entries: readonly Entry[]; readonly problems: readonly Problem[] } {
  const entries: Entry[] = [];
  const problems: Problem[] = [];
  const lines = content.replace(/^\uFEFF/, '').split(/\r?\n/);
  for (const [index, raw] of lines.entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#') || line.startsWith('%')) continue;
    const origin = `${fileName}:${index + 1}`;
    const equals = line.indexOf('=');
    const key = equals === -1 ? '' : line.slice(0, equals).trim();
    if (!keyPattern.test(key)) {
      problems.push({ origin, text: `'${shorten(line)}': expected key = value` });
      continue;
    }
    const text = bareValue(line.slice(equals + 1).trim());
    if (text === null) {
      problems.push({ origin, text: `${key}: the quoted value has no closing quote` });
      continue;
    }
    entries.push({ key: key.replace(/\\(.)/g, '$1'), text, layer: Layer.file, origin });
  }
  return { entries, problems };
}

/** Only the first word of a line is shown: what follows may be a password. */
function shorten(line: string): string {
  const [word = ''] = line.split(/[\s=]/, 1);
  const shown = word.length > 60 ? word.slice(0, 60) : word;
  return shown === line ? shown : `${shown} ...`;
}

/** Without quotes and a comment behind it; null when a quote is not closed. */
function bareValue(raw: string): string | null {
  const quote = raw[0];
  if (quote === "'" || quote === '"') {
    const end = raw.indexOf(quote, 1);
    if (end === -1) return null;
    const rest = raw.slice(end + 1).trim();
    return rest === '' || rest.startsWith('#') ? raw.slice(1, end) : raw;
  }
  const comment = raw.search(/\s#/);
  return comment === -1 ? raw : raw.slice(0, comment).trim();
}

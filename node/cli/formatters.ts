/**
 * How a list is printed: rabbitmqctl's formatters. In: columns and rows. Out:
 * text in pieces. Pure.
 *
 * Source: output of rabbitmqctl 3.10 for the same lists, byte by byte.
 */
import type { Cell } from '../admin/operations.ts';

export const formatterNames = [
  'table',
  'pretty_table',
  'json',
  'json_stream',
  'csv',
  'erlang',
  'inspect',
  'string',
] as const;
export type FormatterName = (typeof formatterNames)[number];

export interface TableSink {
  /** Called once, before the first row; columns as asked for. */
  begin(columns: readonly string[]): void;
  row(cells: readonly Cell[]): void;
  end(): void;
}

export interface TablePrintOptions {
  readonly formatter: FormatterName;
  readonly hasHeaders: boolean;
  write(text: string): void;
}

/** Banners go with formats for people only. */
export function isForPeople(formatter: FormatterName): boolean {
  return formatter !== 'json' && formatter !== 'json_stream' && formatter !== 'csv';
}

export function createTableSink(options: TablePrintOptions): TableSink {
  switch (options.formatter) {
    case 'json':
      return new JsonSink(options, true);
    case 'json_stream':
      return new JsonSink(options, false);
    case 'csv':
      return new LineSink(options, ',', csvCell);
    case 'pretty_table':
      return new PrettySink(options);
    case 'erlang':
    case 'inspect':
      return new ErlangSink(options);
    case 'table':
    case 'string':
      return new LineSink(options, '\t', tableCell);
  }
}

/** Rows of separated values; no header when there is no row, as rabbitmqctl does. */
class LineSink implements TableSink {
  private readonly options: TablePrintOptions;
  private readonly separator: string;
  private readonly format: (cell: Cell) => string;
  private columns: readonly string[] = [];
  private isFirst = true;

  constructor(options: TablePrintOptions, separator: string, format: (cell: Cell) => string) {
    this.options = options;
    this.separator = separator;
    this.format = format;
  }

  begin(columns: readonly string[]): void {
    this.columns = columns;
  }

  row(cells: readonly Cell[]): void {
    if (this.isFirst && this.options.hasHeaders) this.line(this.columns);
    this.isFirst = false;
    this.line(cells);
  }

  end(): void {}

  private line(cells: readonly Cell[]): void {
    this.options.write(`${cells.map(this.format).join(this.separator)}\n`);
  }
}

class JsonSink implements TableSink {
  private readonly options: TablePrintOptions;
  private readonly isArray: boolean;
  private columns: readonly string[] = [];
  private isFirst = true;

  constructor(options: TablePrintOptions, isArray: boolean) {
    this.options = options;
    this.isArray = isArray;
  }

  begin(columns: readonly string[]): void {
    this.columns = columns;
    if (this.isArray) this.options.write('[\n');
  }

  row(cells: readonly Cell[]): void {
    const json = jsonRow(this.columns, cells);
    this.options.write(`${this.isArray && !this.isFirst ? ',' : ''}${json}\n`);
    this.isFirst = false;
  }

  end(): void {
    if (this.isArray) this.options.write(']\n');
  }
}

/** Needs all rows for the widths. */
class PrettySink implements TableSink {
  private readonly options: TablePrintOptions;
  private columns: readonly string[] = [];
  private readonly rows: (readonly string[])[] = [];

  constructor(options: TablePrintOptions) {
    this.options = options;
  }

  begin(columns: readonly string[]): void {
    this.columns = columns;
  }

  row(cells: readonly Cell[]): void {
    this.rows.push(cells.map(tableCell));
  }

  end(): void {
    if (this.rows.length === 0) return;
    const head = this.options.hasHeaders ? this.columns : this.columns.map(() => '');
    const widths = head.map((name, place) => Math.max(name.length, ...this.rows.map((row) => row[place]!.length)));
    const rule = (left: string, middle: string, right: string): string =>
      `${left}${widths.map((width) => '─'.repeat(width + 2)).join(middle)}${right}\n`;
    const line = (cells: readonly string[]): string =>
      `│${cells.map((cell, place) => ` ${cell.padEnd(widths[place]!)} `).join('│')}│\n`;
    const { write } = this.options;
    write(rule('┌', '┬', '┐'));
    if (this.options.hasHeaders) write(line(head) + rule('├', '┼', '┤'));
    for (const [place, row] of this.rows.entries()) {
      if (place > 0) write(rule('├', '┼', '┤'));
      write(line(row));
    }
    write(rule('└', '┴', '┘'));
  }
}

class ErlangSink implements TableSink {
  private readonly options: TablePrintOptions;
  private columns: readonly string[] = [];
  private readonly rows: string[] = [];

  constructor(options: TablePrintOptions) {
    this.options = options;
  }

  begin(columns: readonly string[]): void {
    this.columns = columns;
  }

  row(cells: readonly Cell[]): void {
    const pairs = this.columns.map((name, place) => `{${name},${erlangTerm(cells[place] ?? '')}}`);
    this.rows.push(`[${pairs.join(',')}]`);
  }

  end(): void {
    this.options.write(`[${this.rows.join(',\n ')}]\n`);
  }
}

/** Empty lists stay lists; nothing is an empty text, as rabbitmqctl's JSON has it. */
function jsonRow(columns: readonly string[], cells: readonly Cell[]): string {
  const pairs = columns.map((name, place) => `${JSON.stringify(name)}:${JSON.stringify(jsonCell(cells[place] ?? ''))}`);
  return `{${pairs.join(',')}}`;
}

/** An empty argument table is an empty list there. */
function jsonCell(cell: Cell): Cell {
  if (typeof cell === 'object' && cell !== null && !Array.isArray(cell) && Object.keys(cell).length === 0) return [];
  return cell;
}

function csvCell(cell: Cell): string {
  return `"${tableCell(cell).replaceAll('"', '""')}"`;
}

/** As in the default table: texts bare with control characters escaped, lists of words in brackets. */
export function tableCell(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'string') return escapeText(cell);
  if (typeof cell !== 'object') return String(cell);
  if (Array.isArray(cell)) return `[${cell.map((item) => escapeText(String(item))).join(', ')}]`;
  return erlangTerm(cell);
}

function escapeText(text: string): string {
  return text.replace(/[\x00-\x1f\x7f\\]/g, (letter) =>
    letter === '\\' ? '\\\\' : `\\${letter.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
}

/** A table is a list of pairs. */
function erlangTerm(value: unknown): string {
  if (value === null || value === undefined) return 'undefined';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `[${value.map(erlangTerm).join(',')}]`;
  return `[${Object.entries(value)
    .map(([name, item]) => `{${JSON.stringify(name)},${erlangTerm(item)}}`)
    .join(',')}]`;
}

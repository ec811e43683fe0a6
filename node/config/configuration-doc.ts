/**
 * Writes docs/configuration.md from the declarations, so that the page can
 * not differ from the program. In: the settings. Out: Markdown.
 */
import { settingNames, settings } from './config.ts';
import { knownKeys } from './known-keys.ts';

export function configurationDoc(): string {
  const lines = [
    '# Configuration',
    '',
    'Written from the declarations in `node/config` by `node deploy/build.mjs`; a test checks that it is current.',
    '',
    "A setting comes from, the later winning: its default, the configuration file (`--config FILE`, RABBITMQ_CONFIG_FILE), the environment, `--set key=value`, its own flag. Files are RabbitMQ's `rabbitmq.conf` or the classic Erlang-term form. Mistakes are all named at once and the start ends with code 78.",
    '',
    '| key | default | expected | environment, flag | |',
    '|---|---|---|---|---|',
  ];
  for (const name of settingNames()) {
    const setting = settings[name];
    const unit = setting.unit === null ? '' : ` ${setting.unit}`;
    const defaultText = setting.isSecret ? '(secret)' : setting.defaultText;
    const ways = [setting.environment, setting.flag].filter((way) => way !== null).map((way) => `\`${way}\``);
    const cells = [`\`${setting.key}\``, `${defaultText}${unit}`, setting.expected, ways.join(', '), setting.doc];
    lines.push(`| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
  }
  lines.push('', '## Accepted without effect', '');
  lines.push(
    'RabbitMQ 3.13 knows these; each that is set gives one warning line. `**` stands for any number of words.',
  );
  for (const group of knownKeys) {
    lines.push('', `Because ${group.reason}: ${group.patterns.map((pattern) => `\`${pattern}\``).join(', ')}.`);
  }
  return `${lines.join('\n')}\n`;
}

// Figures in words, as the table shows them.
export function counted(value) {
  return Math.round(value).toLocaleString('en-US');
}

export function megabytes(bytes) {
  return `${counted(bytes / 1e6)} MB`;
}

/** How long the broker did not take what was sent: back-pressure, as a client sees it. */
export function heldText(client, { seconds }) {
  const said = client.toldText();
  const held = client.heldMs < 1 ? '' : `held back ${(client.heldMs / 1000).toFixed(1)} of ${seconds} s`;
  return [said, held].filter((text) => text !== '').join('; ');
}

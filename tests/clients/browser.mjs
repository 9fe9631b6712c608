// Finds the Chromium of this machine. It is never downloaded.

import { existsSync } from 'node:fs';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const NO_BROWSER = 3;

/** Returns how to launch it, or ends the process with status 3 where there is none. */
export function launchOptions() {
  const executablePath = [process.env.CHROMIUM, ...PLACES].find((place) => place && existsSync(place));
  if (!executablePath) {
    console.error('there is no Chromium here; install it (Debian: chromium), or name one in CHROMIUM');
    process.exit(NO_BROWSER);
  }
  const quiet = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  // Chromium's sandbox does not start for root, the usual user in containers.
  const asRoot = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return { executablePath, args: [...quiet, ...asRoot] };
}

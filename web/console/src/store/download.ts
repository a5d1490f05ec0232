// Files for the viewer's own disk: fetched with the session's token, which an address alone would not carry.
import { getFile } from "../api/http";
import { tried } from "./asked";

const GONE_AFTER_MS = 60_000;

export function download(address: string, accept: string, name: string): Promise<boolean> {
  return tried(async () => {
    const url = URL.createObjectURL(await getFile(address, accept));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(url), GONE_AFTER_MS);
  });
}

// What the front end finds in a page that no library of TypeScript's knows of.
interface Window {
  _JUPYTERLAB?: Record<string, unknown>;
  [key: `sse${string}`]: any;
}

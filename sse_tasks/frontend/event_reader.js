// Server-Sent Events by fetch.

/** Reads SSE from fetch: unlike EventSource it can send headers and see the HTTP status. */
export async function readEvents(body, onBytes, onEvent) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let buffer = '';
  let data = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    const lines = (buffer + decoder.decode(value, { stream: true })).split('\n');
    buffer = lines.pop();
    for (const line of lines) {
      if (line === '' && data.length) {
        const event = JSON.parse(data.join('\n'));
        data = [];
        onEvent(event);
      } else if (line.startsWith('data:')) {
        data.push(line.slice(line[5] === ' ' ? 6 : 5));
      }
    }
  }
}

/** WebSocket-over-HTTP events as Pushpin posts them: `TYPE[ length in hex]\r\n`, and with a length its bytes and `\r\n`. */

const lineEnd = '\r\n';

/** Accepts a connection, and answers each text with itself. A ping of Pushpin, which has no event, is answered with none. */
export function pushpinAnswer(body: string): string {
  let answer = '';
  for (let offset = 0; offset < body.length; ) {
    const end = body.indexOf(lineEnd, offset);
    if (end < 0) throw new Error('an event of Pushpin has no end');
    const [type, length] = body.slice(offset, end).split(' ');
    offset = end + lineEnd.length;
    if (length !== undefined) offset += Number.parseInt(length, 16) + lineEnd.length;
    if (type === 'OPEN') answer += `OPEN${lineEnd}`;
    else if (type === 'TEXT') answer += body.slice(end - `TEXT ${length}`.length, offset);
    else if (type === 'CLOSE')
      answer += body.slice(end - `CLOSE${length === undefined ? '' : ` ${length}`}`.length, offset);
    else if (type === 'DISCONNECT') answer += `DISCONNECT${lineEnd}`;
  }
  return answer;
}

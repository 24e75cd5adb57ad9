// Sends every client at /time the time, each second. It can run wherever it reaches the management API of any gateway
// of the group: a broadcast reaches the clients of all of them.

const callback = process.env.CALLBACK ?? 'http://127.0.0.1:8081';

async function tick() {
  try {
    const response = await fetch(`${callback}/connections/_broadcast?endpoints[]=/time`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: new Date().toISOString(),
    });
    if (response.status !== 202) console.error(`not sent: ${response.status} ${await response.text()}`);
  } catch (err) {
    console.error(`not sent: ${err.cause?.message ?? err.message}`); // the next tick tries again
  }
}

setInterval(tick, 1000);
console.log(`timer: broadcasts to /time through ${callback}`);

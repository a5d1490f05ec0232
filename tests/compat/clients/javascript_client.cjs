// @azure/service-bus against a bus: every check on a queue of its own name, one JSON line each.
// `node javascript_client.cjs MODULES CONNECTION_STRING LOCK_S`; MODULES is the folder where npm installed the package.

const assert = require("node:assert");
const path = require("node:path");
const { createRequire } = require("node:module");

const [modules, connectionString, lockText] = process.argv.slice(2);
const { ServiceBusClient } = createRequire(path.join(modules, "x.js"))("@azure/service-bus");
const lockMs = Number(lockText) * 1000;
const WAIT_MS = 10_000;
const SILENCE_MS = 500;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const text = (message) => (typeof message.body === "string" ? message.body : Buffer.from(message.body).toString());

class Ends {
  constructor(queue) {
    this.queue = queue;
    this.client = new ServiceBusClient(connectionString);
    this.sender = this.client.createSender(queue);
    this.receiver = this.another();
  }

  another(options) {
    // Left to itself this client renews every lock for five minutes.
    return this.client.createReceiver(this.queue, { maxAutoLockRenewalDurationInMs: 0, ...options });
  }

  async send(...bodies) {
    for (const body of bodies) await this.sender.sendMessages({ body });
  }

  async receive(count = 1, receiver = this.receiver) {
    const got = [];
    while (got.length < count) {
      const batch = await receiver.receiveMessages(count - got.length, { maxWaitTimeInMs: WAIT_MS });
      if (batch.length === 0) break;
      got.push(...batch);
    }
    return got;
  }

  async completeAll(messages) {
    for (const message of messages) await this.receiver.completeMessage(message);
  }

  async assertEmpty() {
    assert.equal((await this.receiver.receiveMessages(1, { maxWaitTimeInMs: SILENCE_MS })).length, 0);
  }
}

const checks = {
  async single(ends) {
    const sent = { body: "21.5", messageId: "m1", subject: "reading", applicationProperties: { unit: "C" } };
    await ends.sender.sendMessages(sent);
    const [got] = await ends.receive();
    assert.deepEqual([text(got), got.messageId, got.subject, got.deliveryCount], ["21.5", "m1", "reading", 0]);
    assert.deepEqual({ ...got.applicationProperties }, { unit: "C" });
    await ends.receiver.completeMessage(got);
    await ends.assertEmpty();
  },

  async batch(ends) {
    const batch = await ends.sender.createMessageBatch();
    for (let number = 0; number < 100; number++) assert(batch.tryAddMessage({ body: String(number) }));
    await ends.sender.sendMessages(batch);
    const got = await ends.receive(100);
    assert.deepEqual(got.map(text), Array.from({ length: 100 }, (_, number) => String(number)));
    await ends.completeAll(got);
    await ends.assertEmpty();
  },

  async abandon(ends) {
    await ends.send("a");
    for (let expected = 0; expected < 3; expected++) {
      const [got] = await ends.receive();
      assert.equal(got.deliveryCount, expected);
      await ends.receiver.abandonMessage(got);
    }
    await ends.completeAll(await ends.receive());
    await ends.assertEmpty();
  },

  async "dead-letter"(ends) {
    await ends.send("bad");
    const [got] = await ends.receive();
    const why = { deadLetterReason: "not_json", deadLetterErrorDescription: "line 1 column 1" };
    await ends.receiver.deadLetterMessage(got, why);
    const deadLetters = ends.another({ subQueueType: "deadLetter" });
    const [dead] = await ends.receive(1, deadLetters);
    assert.deepEqual(
      [text(dead), dead.deadLetterReason, dead.deadLetterErrorDescription],
      ["bad", "not_json", "line 1 column 1"],
    );
    await deadLetters.completeMessage(dead);
    await ends.assertEmpty();
  },

  async renew(ends) {
    await ends.send("a");
    const [got] = await ends.receive();
    for (let time = 0; time < 2; time++) {
      await sleep(lockMs * 0.6);
      const before = got.lockedUntilUtc;
      assert((await ends.receiver.renewMessageLock(got)) > before);
    }
    await ends.receiver.completeMessage(got);
    await ends.assertEmpty();
  },

  async expiry(ends) {
    await ends.send("a");
    const [first] = await ends.receive();
    const [second] = await ends.receive();
    assert.deepEqual([text(second), second.deliveryCount], ["a", first.deliveryCount + 1]);
    await ends.receiver.completeMessage(second);
    await ends.assertEmpty();
  },

  async peek(ends) {
    await ends.send("a", "b", "c");
    assert.deepEqual((await ends.receiver.peekMessages(2)).map(text), ["a", "b"]);
    const got = await ends.receive(3);
    const seen = got.map((message) => [text(message), message.deliveryCount]);
    assert.deepEqual(seen, [["a", 0], ["b", 0], ["c", 0]]);
    await ends.completeAll(got);
  },

  async "receive-and-delete"(ends) {
    await ends.send("a", "b");
    const taker = ends.another({ receiveMode: "receiveAndDelete" });
    assert.deepEqual((await ends.receive(2, taker)).map(text), ["a", "b"]);
    await taker.close();
    await ends.assertEmpty();
  },

  async large(ends) {
    const bodies = [1, 2].map((number) => Buffer.alloc(250_000, number));
    await ends.send(...bodies);
    const got = await ends.receive(2);
    got.forEach((message, number) => assert(Buffer.from(message.body).equals(bodies[number])));
    assert.equal(got.length, 2);
    await ends.completeAll(got);
    await ends.assertEmpty();
  },

  async "unknown-queue"(ends) {
    const sender = ends.client.createSender("nowhere");
    await assert.rejects(sender.sendMessages({ body: "a" }), { code: "MessagingEntityNotFound" });
  },

  async scheduled(ends) {
    const due = new Date(Date.now() + 6000);
    const [keep, drop] = await ends.sender.scheduleMessages([{ body: "keep" }, { body: "drop" }], due);
    await ends.sender.cancelScheduledMessages(drop);
    await ends.assertEmpty();
    const [got] = await ends.receive();
    assert.deepEqual([text(got), got.sequenceNumber.toString()], ["keep", keep.toString()]);
    assert(Date.now() >= due.getTime() - 50);
    await ends.receiver.completeMessage(got);
    await ends.assertEmpty();
  },
};

async function main() {
  for (const [name, check] of Object.entries(checks)) {
    const started = Date.now();
    let error = null;
    const ends = new Ends(name);
    try {
      await check(ends);
    } catch (raised) {
      error = raised.stack;
    }
    await ends.client.close();
    console.log(JSON.stringify({ check: name, error, seconds: (Date.now() - started) / 1000 }));
  }
}

main();

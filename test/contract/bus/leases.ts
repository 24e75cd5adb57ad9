/** The bus contract: the leases that say which instances are alive. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, holds } from '../../kit/eventually.ts';
import { type MakeBusEnvironment, startBus } from './kit.ts';

export function busLeases(makeEnvironment: MakeBusEnvironment): void {
  test('a lease is held from its claim to its release', async () => {
    await using environment = await makeEnvironment({ leaseMs: 2000 });
    const [owner, asker] = [await startBus(environment), await startBus(environment)];
    assert.notEqual(await asker.leases.isHeld('gw-1'), true);
    const lease = owner.leases.hold('gw-1', () => assert.fail('lost'));
    await eventually(async () => (await asker.leases.isHeld('gw-1')) === true);
    await holds(async () => (await asker.leases.isHeld('gw-1')) === true, 3000);
    assert.deepEqual(await asker.leases.addressable(), ['gw-1']);
    await lease.release();
    assert.equal(await asker.leases.isHeld('gw-1'), false);
    assert.deepEqual(await asker.leases.addressable(), []);
  });

  test('the lease of an instance that died expires, but not at once', async () => {
    await using environment = await makeEnvironment({ leaseMs: 1500 });
    const [owner, asker] = [await startBus(environment), await startBus(environment)];
    owner.leases.hold('gw-1', () => assert.fail('lost'));
    await eventually(async () => (await asker.leases.isHeld('gw-1')) === true);
    await owner.stop();
    assert.equal(await asker.leases.isHeld('gw-1'), true);
    await eventually(async () => (await asker.leases.isHeld('gw-1')) === false);
  });

  test('a lease outlives a short absence of the server, and is unknown meanwhile', async () => {
    await using environment = await makeEnvironment({ leaseMs: 10_000 });
    const [owner, asker] = [await startBus(environment), await startBus(environment)];
    owner.leases.hold('gw-1', () => assert.fail('lost'));
    await eventually(async () => (await asker.leases.isHeld('gw-1')) === true);
    await environment.setDown(true);
    await eventually(() => asker.status === 'down');
    assert.equal(await asker.leases.isHeld('gw-1'), undefined);
    await environment.setDown(false);
    await eventually(async () => {
      const isHeld = await asker.leases.isHeld('gw-1');
      assert.notEqual(isHeld, false);
      return isHeld === true;
    });
  });

  test('notifies the owner when its lease was not renewed in time, and holds it again later', async () => {
    await using environment = await makeEnvironment({ leaseMs: 1000 });
    const owner = await startBus(environment);
    let [lost, held] = [0, 0];
    const onLost = (): void => void lost++;
    const onHeld = (): void => void held++;
    const lease = owner.leases.hold('gw-1', onLost, onHeld);
    await eventually(() => held === 1 && lease.isHeld);
    await environment.setDown(true);
    await eventually(() => lost === 1);
    assert.equal(lease.isHeld, false);
    await environment.setDown(false);
    await eventually(() => owner.status === 'up');
    await eventually(() => lease.isHeld && held === 2);
    await eventually(async () => (await owner.leases.isHeld('gw-1')) === true);
    await holds(() => lost === 1 && held === 2, 500);
  });
}

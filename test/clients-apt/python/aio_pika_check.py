"""aio-pika: confirms, iterating over a queue, RPC, transactions, returned messages. Usage: aio_pika_check.py PORT NAME"""
import asyncio
import sys

import aio_pika
from aio_pika.patterns import RPC

port, name = sys.argv[1:]


async def multiply(*, a, b):
    return a * b


async def main():
    connection = await aio_pika.connect_robust(f"amqp://guest:guest@127.0.0.1:{port}/")
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.set_qos(prefetch_count=10)
        queue = await channel.declare_queue(name, auto_delete=True)
        await asyncio.gather(
            *(
                channel.default_exchange.publish(
                    aio_pika.Message(str(number).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
                    routing_key=name,
                )
                for number in range(100)
            )
        )
        total = 0
        count = 0
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    total += int(message.body)
                    count += 1
                if count == 100:
                    break
        print("sum of 100 messages:", total, flush=True)

        try:
            await channel.default_exchange.publish(aio_pika.Message(b""), routing_key=name + ".missing", mandatory=True)
        except aio_pika.exceptions.DeliveryError:
            print("unroutable: returned", flush=True)

        rpc = await RPC.create(await connection.channel())
        await rpc.register(name + ".multiply", multiply, auto_delete=True)
        print("rpc:", await rpc.call(name + ".multiply", kwargs={"a": 6, "b": 7}), flush=True)

        plain = await connection.channel(publisher_confirms=False)
        inbox = await plain.declare_queue(exclusive=True)
        async with plain.transaction():
            await plain.default_exchange.publish(aio_pika.Message(b"committed"), routing_key=inbox.name)
        print("transaction:", (await inbox.get(timeout=10)).body.decode(), flush=True)


asyncio.run(main())

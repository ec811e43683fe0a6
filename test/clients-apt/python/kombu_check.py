"""kombu: queues of several kinds, confirms, priorities, a consumer mixin with heartbeats. Usage: kombu_check.py PORT NAME"""
import socket
import sys

from kombu import Connection, Consumer, Exchange, Producer, Queue

port, name = sys.argv[1:]
url = f"amqp://guest:guest@127.0.0.1:{port}//"

with Connection(url, heartbeat=10, transport_options={"confirm_publish": True}) as connection:
    simple = connection.SimpleQueue(name + ".simple")
    for number in range(5):
        simple.put({"number": number}, serializer="json")
    for _ in range(5):
        message = simple.get(block=True, timeout=10)
        print("simple:", message.payload["number"], flush=True)
        message.ack()
    simple.close()

    topic = Exchange(name + ".topic", type="topic", durable=True)
    queues = [
        Queue(name + ".errors", topic, routing_key="*.error", durable=True),
        Queue(name + ".all", topic, routing_key="#", max_priority=5),
    ]
    producer = Producer(connection, topic, auto_declare=True)
    for queue in queues:
        queue(connection).declare()
    for key, priority in [("app.info", 0), ("app.error", 5)]:
        producer.publish(key, routing_key=key, priority=priority, delivery_mode=2, retry=True)

    received = []

    def on_message(body, message):
        received.append((message.delivery_info["routing_key"], body))
        message.ack()

    with Consumer(connection, queues, callbacks=[on_message], prefetch_count=1):
        while len(received) < 3:
            connection.drain_events(timeout=10)
        connection.heartbeat_check()
    for key, body in sorted(received):
        print("topic:", key, body, flush=True)
    try:
        connection.drain_events(timeout=0.1)
    except socket.timeout:
        print("nothing more", flush=True)
    for queue in queues:
        queue(connection).delete()
    topic(connection).delete()

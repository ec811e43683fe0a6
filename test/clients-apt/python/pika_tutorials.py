"""RabbitMQ's tutorials 1 to 7 with pika, as its documentation writes them.

Usage: pika_tutorials.py PORT PROGRAM [ARGUMENT...]; prints what the tutorial's program prints.
Source: rabbitmq-tutorials, python.
"""
import functools
import sys
import uuid

import pika

print = functools.partial(print, flush=True)
PORT = int(sys.argv[1])
PROGRAM = sys.argv[2]
ARGUMENTS = sys.argv[3:]


def open_channel():
    connection = pika.BlockingConnection(pika.ConnectionParameters(host="localhost", port=PORT))
    return connection, connection.channel()


# 1. Hello World
def send(queue):
    connection, channel = open_channel()
    channel.queue_declare(queue=queue)
    channel.basic_publish(exchange="", routing_key=queue, body="Hello World!")
    print(" [x] Sent 'Hello World!'")
    connection.close()


def receive(queue):
    _, channel = open_channel()
    channel.queue_declare(queue=queue)
    channel.basic_consume(
        queue=queue,
        on_message_callback=lambda ch, method, properties, body: print(f" [x] Received {body.decode()}"),
        auto_ack=True,
    )
    print(" [*] Waiting for messages. To exit press CTRL+C")
    channel.start_consuming()


# 2. Work queues
def new_task(queue, message):
    connection, channel = open_channel()
    channel.queue_declare(queue=queue, durable=True)
    channel.basic_publish(
        exchange="",
        routing_key=queue,
        body=message,
        properties=pika.BasicProperties(delivery_mode=2),
    )
    print(f" [x] Sent {message}")
    connection.close()


def worker(queue):
    _, channel = open_channel()
    channel.queue_declare(queue=queue, durable=True)

    def callback(ch, method, properties, body):
        print(f" [x] Received {body.decode()}")
        ch.connection.sleep(body.count(b".") * 0.01)
        print(" [x] Done")
        ch.basic_ack(delivery_tag=method.delivery_tag)

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue=queue, on_message_callback=callback)
    print(" [*] Waiting for messages. To exit press CTRL+C")
    channel.start_consuming()


# 3. Publish/Subscribe
def emit_log(exchange, message):
    connection, channel = open_channel()
    channel.exchange_declare(exchange=exchange, exchange_type="fanout")
    channel.basic_publish(exchange=exchange, routing_key="", body=message)
    print(f" [x] Sent {message}")
    connection.close()


def receive_logs(exchange):
    _, channel = open_channel()
    channel.exchange_declare(exchange=exchange, exchange_type="fanout")
    queue = channel.queue_declare(queue="", exclusive=True).method.queue
    channel.queue_bind(exchange=exchange, queue=queue)
    channel.basic_consume(
        queue=queue,
        on_message_callback=lambda ch, method, properties, body: print(f" [x] {body.decode()}"),
        auto_ack=True,
    )
    print(" [*] Waiting for logs. To exit press CTRL+C")
    channel.start_consuming()


# 4. Routing and 5. Topics
def emit(exchange_type, exchange, routing_key, message):
    connection, channel = open_channel()
    channel.exchange_declare(exchange=exchange, exchange_type=exchange_type)
    channel.basic_publish(exchange=exchange, routing_key=routing_key, body=message)
    print(f" [x] Sent {routing_key}:{message}")
    connection.close()


def receive_by_keys(exchange_type, exchange, *binding_keys):
    _, channel = open_channel()
    channel.exchange_declare(exchange=exchange, exchange_type=exchange_type)
    queue = channel.queue_declare("", exclusive=True).method.queue
    for binding_key in binding_keys:
        channel.queue_bind(exchange=exchange, queue=queue, routing_key=binding_key)
    channel.basic_consume(
        queue=queue,
        on_message_callback=lambda ch, method, properties, body: print(f" [x] {method.routing_key}:{body.decode()}"),
        auto_ack=True,
    )
    print(" [*] Waiting for logs. To exit press CTRL+C")
    channel.start_consuming()


# 6. RPC
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def rpc_server(queue):
    _, channel = open_channel()
    channel.queue_declare(queue=queue)

    def on_request(ch, method, props, body):
        n = int(body)
        print(f" [.] fib({n})")
        ch.basic_publish(
            exchange="",
            routing_key=props.reply_to,
            properties=pika.BasicProperties(correlation_id=props.correlation_id),
            body=str(fib(n)),
        )
        ch.basic_ack(delivery_tag=method.delivery_tag)

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue=queue, on_message_callback=on_request)
    print(" [x] Awaiting RPC requests")
    channel.start_consuming()


def rpc_client(queue, n, reply_to):
    connection, channel = open_channel()
    if reply_to == "own":
        reply_to = channel.queue_declare(queue="", exclusive=True).method.queue
    correlation_id = str(uuid.uuid4())
    responses = []

    def on_response(ch, method, props, body):
        if props.correlation_id == correlation_id:
            responses.append(body)

    channel.basic_consume(queue=reply_to, on_message_callback=on_response, auto_ack=True)
    print(f" [x] Requesting fib({n})")
    channel.basic_publish(
        exchange="",
        routing_key=queue,
        properties=pika.BasicProperties(reply_to=reply_to, correlation_id=correlation_id),
        body=n,
    )
    while not responses:
        connection.process_data_events(time_limit=None)
    print(f" [.] Got {int(responses[0])}")
    connection.close()


# 7. Publisher confirms
def publish_confirmed(queue, count):
    connection, channel = open_channel()
    channel.queue_declare(queue=queue, durable=True)
    channel.confirm_delivery()
    for number in range(int(count)):
        channel.basic_publish(
            exchange="",
            routing_key=queue,
            body=str(number),
            properties=pika.BasicProperties(delivery_mode=2),
            mandatory=True,
        )
    print(f" [x] {count} messages confirmed")
    try:
        channel.basic_publish(exchange="", routing_key=queue + ".missing", body="lost", mandatory=True)
    except pika.exceptions.UnroutableError:
        print(" [x] An unroutable message was returned")
    print(f" [x] {channel.queue_delete(queue).method.message_count} messages in the queue")
    connection.close()


globals()[PROGRAM](*ARGUMENTS)

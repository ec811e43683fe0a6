"""A Celery application; the broker's port comes from WARREN_TEST_PORT. Run as a program it is the client."""
import os

from celery import Celery, chain, group

URL = "amqp://guest:guest@127.0.0.1:" + os.environ["WARREN_TEST_PORT"] + "//"
app = Celery("celery_app", broker=URL, backend="rpc://")
app.conf.update(
    task_default_queue=os.environ["WARREN_TEST_QUEUE"],
    result_expires=60,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)


@app.task
def add(a, b):
    return a + b


@app.task(bind=True, max_retries=3)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return f"done after {self.request.retries} retries"


@app.task
def fails():
    raise ValueError("as expected")


if __name__ == "__main__":
    # As a program this module is __main__; the worker knows the tasks by the module's name.
    from celery_app import add, fails, flaky  # noqa: F811

    print("add:", add.delay(2, 3).get(timeout=20), flush=True)
    print("chain:", chain(add.s(1, 2), add.s(10)).delay().get(timeout=20), flush=True)
    print("group:", group(add.s(n, n) for n in range(10)).delay().get(timeout=20), flush=True)
    print("countdown:", add.apply_async((1, 1), countdown=0.5).get(timeout=20), flush=True)
    print("flaky:", flaky.delay().get(timeout=20), flush=True)
    try:
        fails.delay().get(timeout=20)
    except ValueError as error:
        print("fails:", error, flush=True)

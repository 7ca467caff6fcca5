# bash wait.sh: waits until the outbox and the queue are empty.
until [ -z "$(ls outbox)" ]; do sleep 1; done
sleep 6 # RabbitMQ counts what is in a quorum queue every five seconds
until docker exec workshop-rabbitmq rabbitmqctl -q list_queues name messages | grep -q '^history.viewed[[:space:]]0$'; do
  sleep 1
done 2>/dev/null

# bash wait.sh: waits until the outbox and the queue are empty.
until [ -z "$(ls outbox)" ] &&
  docker exec workshop-rabbitmq rabbitmqctl -q list_queues name messages | grep -q '^history.viewed[[:space:]]0$'; do
  sleep 1
done 2>/dev/null

# bash count.sh NAME N: what does history know of the views NAME-1 to NAME-N?
views=$(curl -s localhost:4002/history | grep -o "\"$1-[0-9]*\"")
stored=$(grep -c . <<<"$views")
different=$(sort -u <<<"$views" | grep -c .)
echo "stored $stored, lost $(($2 - different)), duplicates $((stored - different))"

#!/bin/sh
# One visit: count it, ask one replica of the backend for its name, fill in the page.

echo visit >> /data/visits
visits=$(wc -l < /data/visits)

# wget would sort the addresses of a name and always take the same one. The name service changes
# their order with each answer, so the first is a fair choice.
address=$(nslookup backend | awk '/^Address: / {print $2; exit}')
backend=$(timeout 2 wget -q -O - "http://$address:8080/cgi-bin/name")

echo "Content-Type: text/html"
echo
sed "s/@VISITS@/$visits/; s/@BACKEND@/${backend:-nobody}/" /site/page.html

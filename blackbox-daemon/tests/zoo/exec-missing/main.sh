# A container whose entry point ends in a program that the image does not have: the shell exits with 127.
echo "INFO entrypoint starting, pid $$"
if [ ! -f /etc/entrypoint/env ]; then
    echo "INFO no env file"
fi
for round in 1 2 3; do
    sleep 0.2
    echo "INFO waiting for volumes $round/3"
done
exec /opt/inventory/bin/server --port 8080

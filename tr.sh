sleep 0.5
timeout -s INT 0.5 strace -f -r -e trace=network,read,write,sendfile,epoll_pwait,futex -o /tmp/speedw/vs.trace -p $VS 2>/dev/null

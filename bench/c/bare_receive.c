/* Receive from a multicast group on the loopback interface with recvmmsg, and decode nothing.
 *
 *     bare_receive GROUP PORT
 *
 * Prints "ready", waits for the first message, stops after half a second without one, and prints
 * the number of messages, the seconds from the first to the last batch, and their ratio.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { AT_ONCE = 256, LARGEST = 1500, BUFFER = 4 << 20, FIRST_MS = 30000, IDLE_MS = 500 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int open_receiver(const char *group, int port)
{
    const int yes = 1, buffer = BUFFER;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct ip_mreq membership;
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    if (s < 0 || !inet_aton(group, &here.sin_addr))
        return -1;
    membership.imr_multiaddr = here.sin_addr;
    inet_aton("127.0.0.1", &membership.imr_interface);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bind(s, (struct sockaddr *)&here, sizeof here) ||
        setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof membership))
        return -1;
    return s;
}

int main(int count, char **arguments)
{
    static char slab[AT_ONCE][LARGEST];
    static struct iovec parts[AT_ONCE];
    static struct mmsghdr messages[AT_ONCE];
    struct pollfd waiting = {.events = POLLIN};
    double first_s = 0, last_s = 0;
    long received = 0;

    if (count < 3) {
        fprintf(stderr, "usage: bare_receive GROUP PORT\n");
        return 2;
    }
    waiting.fd = open_receiver(arguments[1], atoi(arguments[2]));
    if (waiting.fd < 0) {
        perror("bare_receive: socket");
        return 1;
    }
    for (int i = 0; i < AT_ONCE; i++) {
        parts[i] = (struct iovec){slab[i], LARGEST};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    puts("ready");
    fflush(stdout);
    while (poll(&waiting, 1, received ? IDLE_MS : FIRST_MS) > 0) {
        int came;

        while ((came = recvmmsg(waiting.fd, messages, AT_ONCE, MSG_DONTWAIT, NULL)) > 0) {
            last_s = now_s();
            if (!received)
                first_s = last_s;
            received += came;
        }
    }
    if (last_s <= first_s)
        return 1;
    printf("%ld %.6f %.0f\n", received, last_s - first_s, received / (last_s - first_s));
    return 0;
}

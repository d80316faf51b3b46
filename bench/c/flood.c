/* Send well-formed 32-byte messages to a multicast group on this machine, as fast as possible or at a rate.
 *
 *     flood jph|lcm GROUP PORT INTERFACE SECONDS SOURCES [RATE]
 *
 * UDP_SEGMENT hands 60 datagrams to the kernel with one call, so that the receiver is the limit.
 * jph: float messages of SOURCES Codifiers in turn (AA, AB, ...), each with its own sequence from 1.
 * lcm: small messages of LCM on the channel "JPH", with one sequence; payload of 20 bytes.
 * INTERFACE is an address, or "default". TTL is 0: nothing leaves the machine. Prints the number of sent messages.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { SIZE = 32, AT_ONCE = 60, MOST_SOURCES = 26 * 26 };

static unsigned char datagrams[AT_ONCE][SIZE];

static double now_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* The header of JPH is little-endian, as are the machines this is made for. */
static void fill_jph(unsigned char *p, int source, uint32_t sequence, uint64_t timestamp_ms)
{
    const uint32_t length = 4;
    const float value = sequence % 1000 * 0.5f;

    memcpy(p, &sequence, 4);
    memcpy(p + 8, &timestamp_ms, 8);
    p[16] = 'f';
    p[17] = 'A' + source / 26;
    p[18] = 'A' + source % 26;
    p[19] = p[20] = '@';
    memcpy(p + 24, &length, 4);
    memcpy(p + 28, &value, 4);
}

static void fill_lcm(unsigned char *p, uint32_t sequence)
{
    const uint32_t magic = htonl(0x4c433032), order = htonl(sequence);

    memcpy(p, &magic, 4);
    memcpy(p + 4, &order, 4);
    memcpy(p + 8, "JPH", 4);
    memcpy(p + 12, &sequence, 4);
}

static int open_sender(const char *interface)
{
    const int size = SIZE;
    const unsigned char ttl = 0;
    struct in_addr address;
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    if (s < 0 || setsockopt(s, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) ||
        setsockopt(s, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size))
        return -1;
    if (strcmp(interface, "default") == 0)
        return s;
    if (!inet_aton(interface, &address) ||
        setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &address, sizeof address))
        return -1;
    return s;
}

int main(int count, char **arguments)
{
    static uint32_t sequences[MOST_SOURCES];
    struct sockaddr_in to = {.sin_family = AF_INET};
    int s, lcm, sources, source = 0;
    double seconds, rate, start_s, passed_s;
    long sent = 0;

    if (count < 7) {
        fprintf(stderr, "usage: flood jph|lcm GROUP PORT INTERFACE SECONDS SOURCES [RATE]\n");
        return 2;
    }
    lcm = strcmp(arguments[1], "lcm") == 0;
    to.sin_port = htons(atoi(arguments[3]));
    seconds = atof(arguments[5]);
    sources = atoi(arguments[6]);
    rate = count > 7 ? atof(arguments[7]) : 0;
    if (!inet_aton(arguments[2], &to.sin_addr) || sources < 1 || sources > MOST_SOURCES) {
        fprintf(stderr, "flood: no such group, or not 1 to %d sources\n", MOST_SOURCES);
        return 2;
    }
    s = open_sender(arguments[4]);
    if (s < 0) {
        perror("flood: socket");
        return 1;
    }

    start_s = now_s(CLOCK_MONOTONIC);
    while ((passed_s = now_s(CLOCK_MONOTONIC) - start_s) < seconds) {
        uint64_t timestamp_ms = now_s(CLOCK_REALTIME) * 1000;

        if (rate > 0 && sent > passed_s * rate) {
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
            continue;
        }
        for (int i = 0; i < AT_ONCE; i++) {
            uint32_t sequence = ++sequences[source];

            if (lcm)
                fill_lcm(datagrams[i], sequence);
            else
                fill_jph(datagrams[i], source, sequence, timestamp_ms);
            if (!lcm)
                source = (source + 1) % sources;
        }
        if (sendto(s, datagrams, sizeof datagrams, 0, (struct sockaddr *)&to, sizeof to) < 0) {
            perror("flood: sendto");
            return 1;
        }
        sent += AT_ONCE;
    }
    printf("%ld\n", sent);
    return 0;
}

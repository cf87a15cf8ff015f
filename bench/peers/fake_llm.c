/* A language model's server that costs almost nothing: the OpenAI chat protocol on the loopback, one thread, epoll.
 *
 *   cc -O2 -o fake_llm fake_llm.c && ./fake_llm [NAME=VALUE ...]
 *
 *   port=0         0 takes a free one; the first line on stdout is the port that was taken
 *   latency=0      milliseconds from the whole request to the answer
 *   jitter=0       up to as many milliseconds more, by the seed
 *   seed=0         decides which requests go wrong, by their number
 *   p429=0         share of requests answered 429, with retry-after-ms
 *   p5xx=0         share answered 503
 *   preset=0       share whose connection is reset instead of an answer
 *   rate=0         requests a second that a token bucket lets through, the rest gets 429; 0 for no bucket
 *   burst=1        size of the bucket
 *   hard=0         after so many requests every one gets 429 for ever; 0 for never
 *   logprobs=0     1 gives log-probabilities with five alternatives where a request asks for them
 *   marker=TEXT    a message that holds it is answered as a crisis, every other as none; "#crisis" by default
 *
 * An answer fits what was asked by the name of the answer model in the body: screen_terse, screen_reasoned and categorise of the
 * clinical taxonomy. It echoes the nonce that the fence carries, in one piece or in two halves. Where no nonce is found the answer has "none".
 * A tool that was offered is called, with the same object as its arguments.
 *
 *   GET /stats     {"requests", "answered", "throttled", "failed", "reset", "connections", "open", "peak", "bytes"}
 *   GET /reset     the counts begin anew
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 65536, LONGEST_REQUEST = 64 << 20, READ_AT_LEAST = 1 << 16 };

struct connection {
    unsigned age; /* rises when the number is used again, so that a late answer does not reach a stranger */
    int open, watching;
    char *in;
    size_t held, room;
    char *out; /* what the socket did not take yet */
    size_t waiting, sent;
};

struct late { /* an answer that is due later */
    int64_t due;
    int fd;
    unsigned age;
    int reset;
    char *text;
    size_t length;
};

static struct connection connections[MOST_CONNECTIONS];
static struct late *heap;
static size_t heaped, heap_room;
static int poller;
static uint64_t requests, answered, throttled, failed, resets, accepted, bytes;
static long live, peak;

static double latency_ms, jitter_ms, p429, p5xx, preset, rate, burst = 1, bucket;
static int64_t bucket_at;
static uint64_t seed, hard;
static int logprobs;
static const char *marker = "#crisis";

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Uniform in [0, 1), by Vigna's splitmix64. */
static double chance(uint64_t n, uint64_t stream) {
    uint64_t z = seed * 0x9e3779b97f4a7c15u + n * 0xbf58476d1ce4e5b9u + stream * 0x94d049bb133111ebu + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static void watch(int fd, int writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.fd = fd};
    connections[fd].watching = writing;
    epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event);
}

static void drop(int fd, int reset) {
    struct connection *c = &connections[fd];
    if (!c->open) return;
    if (reset) {
        struct linger hard_close = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard_close, sizeof hard_close);
    }
    free(c->in);
    free(c->out);
    unsigned age = c->age + 1;
    memset(c, 0, sizeof *c);
    c->age = age;
    live--;
    close(fd);
}

static void push_out(int fd) {
    struct connection *c = &connections[fd];
    while (c->sent < c->waiting) {
        ssize_t n = send(fd, c->out + c->sent, c->waiting - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) drop(fd, 0);
            else if (!c->watching) watch(fd, 1);
            return;
        }
        c->sent += (size_t)n;
    }
    free(c->out);
    c->out = NULL;
    c->waiting = c->sent = 0;
    if (c->watching) watch(fd, 0);
}

/* Takes the text over. */
static void answer(int fd, char *text, size_t length) {
    struct connection *c = &connections[fd];
    if (c->out) {
        c->out = realloc(c->out, c->waiting + length);
        memcpy(c->out + c->waiting, text, length);
        c->waiting += length;
        free(text);
    } else {
        c->out = text;
        c->waiting = length;
        c->sent = 0;
    }
    push_out(fd);
}

static void heap_push(struct late item) {
    if (heaped == heap_room) heap = realloc(heap, sizeof *heap * (heap_room = heap_room ? heap_room * 2 : 1024));
    size_t at = heaped++;
    for (; at && heap[(at - 1) / 2].due > item.due; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = item;
}

static struct late heap_pop(void) {
    struct late top = heap[0], last = heap[--heaped];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < heaped; at = child) {
        if (child + 1 < heaped && heap[child + 1].due < heap[child].due) child++;
        if (heap[child].due >= last.due) break;
        heap[at] = heap[child];
    }
    if (heaped) heap[at] = last;
    return top;
}

struct text {
    char *at;
    size_t length, room;
};

static void add(struct text *t, const char *format, ...) {
    va_list given;
    for (;;) {
        va_start(given, format);
        int n = vsnprintf(t->at + t->length, t->room - t->length, format, given);
        va_end(given);
        if (t->length + (size_t)n < t->room) {
            t->length += (size_t)n;
            return;
        }
        t->at = realloc(t->at, t->room = (t->length + (size_t)n) * 2 + 256);
    }
}

/* The text as the inside of a JSON string. */
static void add_escaped(struct text *t, const char *s, size_t n) {
    if (t->room - t->length < 2 * n) t->at = realloc(t->at, t->room = (t->length + n) * 2 + 256);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"' || s[i] == '\\') t->at[t->length++] = '\\';
        t->at[t->length++] = s[i];
    }
}

static void respond(int fd, const char *status, const char *more, const struct text *body, int64_t due) {
    struct text whole = {NULL, 0, 0};
    add(&whole,
        "HTTP/1.1 %s\r\ndate: Sat, 21 Nov 2026 08:00:00 GMT\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n"
        "x-request-id: req_0123456789abcdef\r\nx-ratelimit-limit-requests: 30000\r\nx-ratelimit-remaining-requests: 29999\r\n"
        "openai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\nstrict-transport-security: max-age=31536000\r\n%s\r\n",
        status, body->length, more);
    whole.at = realloc(whole.at, whole.length + body->length);
    memcpy(whole.at + whole.length, body->at, body->length);
    whole.length += body->length;
    if (due) heap_push((struct late){due, fd, connections[fd].age, 0, whole.at, whole.length});
    else answer(fd, whole.at, whole.length);
}

static const void *last(const void *in, size_t n, const char *what) {
    size_t m = strlen(what);
    for (const char *p = (const char *)in + (n >= m ? n - m : 0); n >= m && p >= (const char *)in; p--)
        if (*p == *what && !memcmp(p, what, m)) return p;
    return NULL;
}

/* The hexadecimal digits after the last `what` in the body. */
static size_t digits_after(const char *body, size_t n, const char *what, char *into, size_t room) {
    const char *at = last(body, n, what);
    size_t found = 0;
    if (!at) return 0;
    for (at += strlen(what); at < body + n && found + 1 < room && strchr("0123456789abcdef", *at) && *at; at++) into[found++] = *at;
    into[found] = 0;
    return found;
}

static void find_nonce(const char *body, size_t n, char nonce[200]) {
    char half[90];
    size_t begun = digits_after(body, n, "nonce-begins=\\\"", nonce, 90);
    if (begun && digits_after(body, n, "nonce-ends=\\\"", half, sizeof half)) strcpy(nonce + begun, half);
    else if (!digits_after(body, n, "nonce=\\\"", nonce, 90)) strcpy(nonce, "none");
}

static const char *CATEGORIES[] = {"abuse", "neglect", "eating_disorder", "psychosis", "self_harm", "suicide", "substance_misuse", "violence"};

static void write_answer(struct text *t, const char *body, size_t n) {
    char nonce[200];
    find_nonce(body, n, nonce);
    const char *fence = last(body, n, "<message nonce");
    int crisis = fence && memmem(fence, n - (size_t)(fence - body), marker, strlen(marker)) != NULL;
    const char *yes = crisis ? "true" : "false", *subject = crisis ? "self" : "unclear", *when = crisis ? "current" : "unclear";
    add(t, "{\"nonce\": \"%s\", ", nonce);
    if (memmem(body, n, "Categorised", 11)) {
        for (size_t i = 0; i < sizeof CATEGORIES / sizeof *CATEGORIES; i++) {
            int present = crisis && i == 5;
            add(t, "%s\"%s\": {\"rationale\": \"\", \"quotes\": [], \"present\": %s, \"severity\": %s, \"subject\": %s, \"timeframe\": %s}",
                i ? ", " : "", CATEGORIES[i], present ? "true" : "false", present ? "\"severe\"" : "null", present ? "\"self\"" : "null",
                present ? "\"current\"" : "null");
        }
        add(t, "}");
    } else if (memmem(body, n, "ScreenReasoned", 14)) {
        add(t, "\"reasoning\": \"What the message says was weighed against each of the kinds, and this is what follows from it.\", "
               "\"quotes\": [], \"subject\": \"%s\", \"timeframe\": \"%s\", \"crisis\": %s, \"confidence\": %s}",
            subject, when, yes, crisis ? "0.96" : "0.03");
    } else {
        add(t, "\"crisis\": %s}", yes);
    }
}

/* Tokens of four characters; the value of "crisis" is one of its own, with five alternatives everywhere. */
static void add_logprobs(struct text *t, const struct text *said) {
    const char *label = last(said->at, said->length, "\"crisis\": ");
    size_t value = label ? (size_t)(label - said->at) + 10 : said->length, end = value;
    while (end < said->length && said->at[end] >= 'a' && said->at[end] <= 'z') end++;
    add(t, "{\"content\":[");
    for (size_t i = 0, n; i < said->length; i += n) {
        size_t stop = i < value ? value : i < end ? end : said->length;
        n = i == value ? end - value : stop - i < 4 ? stop - i : 4;
        add(t, "%s{\"token\":\"", i ? "," : "");
        add_escaped(t, said->at + i, n);
        add(t, "\",\"logprob\":-0.02,\"bytes\":[");
        for (size_t k = 0; k < n; k++) add(t, "%s%d", k ? "," : "", (unsigned char)said->at[i + k]);
        add(t, "],\"top_logprobs\":[");
        const char *other = said->at[i] == 't' ? "false" : "true";
        for (int k = 0; k < 5; k++) {
            add(t, "%s{\"token\":\"", k ? "," : "");
            if (k == 0) add_escaped(t, said->at + i, n);
            else if (k == 1 && i == value) add(t, "%s", other);
            else add(t, "x%d", k);
            add(t, "\",\"logprob\":%s,\"bytes\":[120]}", k ? "-4.5" : "-0.02");
        }
        add(t, "]}");
    }
    add(t, "]}");
}

static void chat(int fd, const char *body, size_t n) {
    struct text said = {NULL, 0, 0}, reply = {NULL, 0, 0};
    uint64_t number = requests++;
    double drawn = chance(number, 1);
    int64_t due = 0, now = now_us();
    bytes += n;
    if (latency_ms > 0 || jitter_ms > 0) due = now + (int64_t)(1000 * (latency_ms + jitter_ms * chance(number, 2)));
    int over = hard && number >= hard;
    if (rate > 0) {
        bucket += (double)(now - bucket_at) * rate / 1e6;
        if (bucket > burst) bucket = burst;
        bucket_at = now;
        if (bucket < 1) over = 1;
        else bucket -= 1;
    }
    if (!over && drawn < preset) {
        resets++;
        if (due) heap_push((struct late){due, fd, connections[fd].age, 1, NULL, 0});
        else drop(fd, 1);
        return;
    }
    if (over || drawn < preset + p429) {
        throttled++;
        char more[80];
        snprintf(more, sizeof more, "retry-after-ms: %d\r\n", rate > 0 ? (int)((1 - bucket) / rate * 1000) + 1 : 20);
        add(&reply, "{\"error\":{\"message\":\"Rate limit reached\",\"type\":\"requests\",\"param\":null,\"code\":\"rate_limit_exceeded\"}}");
        respond(fd, "429 Too Many Requests", more, &reply, 0);
        free(reply.at);
        return;
    }
    if (drawn < preset + p429 + p5xx) {
        failed++;
        add(&reply, "{\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}");
        respond(fd, "503 Service Unavailable", "retry-after-ms: 10\r\n", &reply, due);
        free(reply.at);
        return;
    }
    answered++;
    write_answer(&said, body, n);
    int tools = memmem(body, n, "\"tools\":", 8) != NULL;
    add(&reply, "{\"id\":\"chatcmpl-%llu\",\"object\":\"chat.completion\",\"created\":1790000000,\"model\":\"fake-1\",\"choices\":[{\"index\":0,"
                "\"message\":{\"role\":\"assistant\",\"content\":", (unsigned long long)number);
    if (tools) {
        char name[80] = "Answer";
        const char *at = memmem(body, n, "\"function\":{\"name\":\"", 20);
        if (at) sscanf(at + 20, "%79[^\"]", name);
        add(&reply, "null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"%s\",\"arguments\":\"", name);
        add_escaped(&reply, said.at, said.length);
        add(&reply, "\"}}]");
    } else {
        add(&reply, "\"");
        add_escaped(&reply, said.at, said.length);
        add(&reply, "\"");
    }
    add(&reply, ",\"refusal\":null,\"annotations\":[]},\"logprobs\":");
    if (logprobs && memmem(body, n, "\"logprobs\":true", 15)) add_logprobs(&reply, &said);
    else add(&reply, "null");
    add(&reply, ",\"finish_reason\":\"%s\"}],\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu,\"total_tokens\":%zu,"
                "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,"
                "\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}},\"service_tier\":\"default\","
                "\"system_fingerprint\":\"fp_0\"}",
        tools ? "tool_calls" : "stop", n / 4, said.length / 4, n / 4 + said.length / 4);
    respond(fd, "200 OK", "", &reply, due);
    free(said.at);
    free(reply.at);
}

static void count(int fd) {
    struct text body = {NULL, 0, 0};
    add(&body, "{\"requests\":%llu,\"answered\":%llu,\"throttled\":%llu,\"failed\":%llu,\"reset\":%llu,\"connections\":%llu,\"open\":%ld,\"peak\":%ld,\"bytes\":%llu}",
        (unsigned long long)requests, (unsigned long long)answered, (unsigned long long)throttled, (unsigned long long)failed,
        (unsigned long long)resets, (unsigned long long)accepted, live, peak, (unsigned long long)bytes);
    respond(fd, "200 OK", "", &body, 0);
    free(body.at);
}

static void handle(int fd, const char *path, size_t path_length, const char *body, size_t n) {
    if (memmem(path, path_length, "/stats", 6)) count(fd);
    else if (memmem(path, path_length, "/reset", 6)) {
        requests = answered = throttled = failed = resets = accepted = bytes = 0;
        peak = live;
        count(fd);
    } else if (memmem(path, path_length, "/chat/completions", 17)) chat(fd, body, n);
    else {
        struct text none = {NULL, 0, 0};
        add(&none, "{\"error\":{\"message\":\"no such path\"}}");
        respond(fd, "404 Not Found", "", &none, 0);
        free(none.at);
    }
}

/* Every whole request that has come in; bodies have a content-length here, for all our clients send one. */
static void take(int fd) {
    struct connection *c = &connections[fd];
    unsigned age = c->age;
    size_t done = 0;
    while (done < c->held) {
        char *head = c->in + done;
        char *end = memmem(head, c->held - done, "\r\n\r\n", 4);
        if (!end) break;
        *end = 0;
        const char *said = strcasestr(head, "\ncontent-length:");
        size_t length = said ? strtoull(said + 16, NULL, 10) : 0;
        *end = '\r';
        size_t head_length = (size_t)(end - head) + 4;
        if (length > LONGEST_REQUEST) {
            drop(fd, 0);
            return;
        }
        if (c->held - done < head_length + length) break;
        const char *line_end = memchr(head, '\r', head_length);
        handle(fd, head, (size_t)(line_end - head), head + head_length, length);
        if (!c->open || c->age != age) return;
        done += head_length + length;
    }
    memmove(c->in, c->in + done, c->held - done);
    c->held -= done;
}

static void receive(int fd) {
    struct connection *c = &connections[fd];
    if (c->room - c->held < READ_AT_LEAST) c->in = realloc(c->in, (c->room = c->held * 2 + READ_AT_LEAST) + 1);
    ssize_t n = recv(fd, c->in + c->held, c->room - c->held, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0 || c->held + (size_t)n > (size_t)LONGEST_REQUEST) {
        drop(fd, 0);
        return;
    }
    c->held += (size_t)n;
    take(fd);
}

static void greet(int listener) {
    int one = 1, fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MOST_CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
        connections[fd].open = 1;
        accepted++;
        if (++live > peak) peak = live;
    }
}

static void deliver(void) {
    for (int64_t now = now_us(); heaped && heap[0].due <= now;) {
        struct late item = heap_pop();
        struct connection *c = &connections[item.fd];
        if (!c->open || c->age != item.age) free(item.text);
        else if (item.reset) drop(item.fd, 1);
        else answer(item.fd, item.text, item.length);
    }
}

static void set(const char *given) {
    static const struct {
        const char *name;
        double *number;
    } numbers[] = {{"latency=", &latency_ms}, {"jitter=", &jitter_ms}, {"p429=", &p429}, {"p5xx=", &p5xx}, {"preset=", &preset}, {"rate=", &rate}, {"burst=", &burst}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        size_t n = strlen(numbers[i].name);
        if (!strncmp(given, numbers[i].name, n)) {
            *numbers[i].number = atof(given + n);
            return;
        }
    }
    if (!strncmp(given, "seed=", 5)) seed = strtoull(given + 5, NULL, 10);
    else if (!strncmp(given, "hard=", 5)) hard = strtoull(given + 5, NULL, 10);
    else if (!strncmp(given, "logprobs=", 9)) logprobs = atoi(given + 9);
    else if (!strncmp(given, "marker=", 7) && given[7]) marker = given + 7;
    else if (strncmp(given, "port=", 5)) {
        fprintf(stderr, "unknown setting: %s\n", given);
        exit(2);
    }
}

int main(int count_given, char **given) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    for (int i = 1; i < count_given; i++) {
        set(given[i]);
        if (!strncmp(given[i], "port=", 5)) address.sin_port = htons((uint16_t)atoi(given[i] + 5));
    }
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096) || getsockname(listener, (struct sockaddr *)&address, &size)) {
        perror("fake_llm");
        return 1;
    }
    bucket = burst;
    bucket_at = now_us();
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[512];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int wait = -1;
        if (heaped) {
            int64_t left = heap[0].due - now_us();
            wait = left <= 0 ? 0 : (int)((left + 999) / 1000);
        }
        int n = epoll_wait(poller, events, 512, wait);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) greet(fd);
            else {
                if (connections[fd].open && events[i].events & EPOLLOUT) push_out(fd);
                if (connections[fd].open && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(fd);
            }
        }
        deliver();
    }
}

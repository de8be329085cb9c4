/* A PKCS#11 module that forwards every call to another one, counts it, and on demand does something else.
 *
 * Beside the module NAME.so lies the file NAME.so.state, shared by every process that has the module loaded and by the tests. It
 * names the real module, holds the counters, and holds the rules by which calls fail, wait, hang or end the process.
 *
 * Written for Linux on x86-64 and aarch64, where CK_ULONG and pointers have 64 bits and go through the same registers, so that
 * one type stands for all parameters. Names, order and numbers are those of PKCS#11 v2.40.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long U; /* CK_ULONG, or a pointer */

enum { FUNCTIONS = 68, QUERY = 68, COUNTED = 69, KEYS = 256, RULES = 1024, LABEL_BYTES = 64, LATE = 8 };
enum { C_INITIALIZE = 0, C_FINALIZE = 1, C_DESTROY_OBJECT = 22, C_GET_ATTRIBUTE_VALUE = 24, C_SIGN_INIT = 42, C_SIGN = 43 };
enum { FAIL = 1, DELAY = 2, HANG = 3, KILL = 4 };
enum { CKR_OK = 0, CKR_GENERAL_ERROR = 5, CKA_LABEL = 3 };

struct rule {
    uint64_t active, function, action, value; /* value: what FAIL answers, or how many ms DELAY takes */
    uint64_t forwarded;                       /* 0: instead of (FAIL) or before the real call; 1: after it */
    uint64_t skip, times;                     /* the calls that match, from which on and how many of them */
    uint64_t seen, acted;
    char label[LABEL_BYTES]; /* empty: whatever the key */
};

struct key {
    uint64_t state; /* 0 free, 1 being written, 2 in use */
    uint64_t inits, signs, made;
    char label[LABEL_BYTES];
};

struct state {
    uint64_t rules_in_use, released, hanging, processes;
    uint64_t calls[COUNTED];
    struct key keys[KEYS];
    struct rule rules[RULES];
    char module[4096];
};

static struct state *state;
static void *real[FUNCTIONS];
static void *real_module;

/* Of this process: which key a session signs with, and what is known of key handles. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
enum { SESSIONS = 65536, HANDLES = 1024 };
static struct key *signing_key[SESSIONS];
static struct { U handle; struct key *key; } handles[HANDLES];

static void pause_ms(uint64_t ms) {
    struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&time, &time) != 0) {}
}

static void hang(void) {
    uint64_t since = __atomic_load_n(&state->released, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&state->hanging, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&state->released, __ATOMIC_SEQ_CST) == since) pause_ms(1);
    __atomic_sub_fetch(&state->hanging, 1, __ATOMIC_SEQ_CST);
}

/* 1 when the rule answers the call itself, with *result. */
static int apply(const struct rule *rule, U *result) {
    switch (rule->action) {
    case FAIL: *result = rule->value; return 1;
    case DELAY: pause_ms(rule->value); return 0;
    case HANG: hang(); return 0;
    case KILL: kill(getpid(), SIGKILL); pause(); return 0;
    default: return 0;
    }
}

/* Counts the call and applies the rules that come before it; those that come after it go into late. 1: do not forward. */
static int before(int function, const struct key *key, struct rule **late, U *result) {
    __atomic_add_fetch(&state->calls[function], 1, __ATOMIC_SEQ_CST);
    uint64_t rules = __atomic_load_n(&state->rules_in_use, __ATOMIC_SEQ_CST);
    int waiting = 0;
    for (uint64_t i = 0; i < rules; i++) {
        struct rule *rule = &state->rules[i];
        if (!__atomic_load_n(&rule->active, __ATOMIC_SEQ_CST) || rule->function != (uint64_t)function) continue;
        if (rule->label[0] && (!key || strncmp(rule->label, key->label, LABEL_BYTES) != 0)) continue;
        uint64_t seen = __atomic_fetch_add(&rule->seen, 1, __ATOMIC_SEQ_CST);
        if (seen < rule->skip || seen - rule->skip >= rule->times) continue;
        __atomic_add_fetch(&rule->acted, 1, __ATOMIC_SEQ_CST);
        if (rule->forwarded) {
            if (waiting < LATE) late[waiting++] = rule;
        } else if (apply(rule, result)) return 1;
    }
    return 0;
}

static U after(struct rule **late, U result) {
    for (int i = 0; i < LATE && late[i]; i++) apply(late[i], &result);
    return result;
}

static struct key *key_of_label(const char *label) {
    for (int i = 0; i < KEYS; i++) {
        struct key *key = &state->keys[i];
        uint64_t free = 0;
        if (__atomic_compare_exchange_n(&key->state, &free, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            memcpy(key->label, label, LABEL_BYTES);
            __atomic_store_n(&key->state, 2, __ATOMIC_SEQ_CST);
            return key;
        }
        /* one being written by another process is passed over: then a label may stand in two rows, and readers add them up */
        if (free == 2 && strncmp(key->label, label, LABEL_BYTES) == 0) return key;
    }
    return NULL;
}

/* The row of a key handle; the token is asked for its label once. Needs the lock. */
static struct key *key_of_handle(U session, U handle) {
    if (handles[handle % HANDLES].key && handles[handle % HANDLES].handle == handle) return handles[handle % HANDLES].key;
    char label[LABEL_BYTES + 1] = {0};
    struct { U type; void *value; U length; } attribute = {CKA_LABEL, label, LABEL_BYTES};
    if (((U(*)(U, U, void *, U))real[C_GET_ATTRIBUTE_VALUE])(session, handle, &attribute, 1) != CKR_OK) return NULL;
    label[LABEL_BYTES - 1] = 0;
    struct key *key = key_of_label(label);
    handles[handle % HANDLES].handle = handle;
    handles[handle % HANDLES].key = key;
    return key;
}

/* Handles mean something else after these. */
static void forget_handles(int function) {
    if (function != C_INITIALIZE && function != C_FINALIZE && function != C_DESTROY_OBJECT) return;
    pthread_mutex_lock(&lock);
    memset(handles, 0, sizeof handles);
    if (function != C_DESTROY_OBJECT) memset(signing_key, 0, sizeof signing_key);
    pthread_mutex_unlock(&lock);
}

#define FORWARD(name, function, parameters, arguments)                 \
    U name parameters {                                                \
        struct rule *late[LATE] = {0};                                 \
        U result;                                                      \
        if (before(function, NULL, late, &result)) return result;      \
        result = ((U(*) parameters)real[function]) arguments;          \
        forget_handles(function);                                      \
        return after(late, result);                                    \
    }
#define F1(name, function) FORWARD(name, function, (U a), (a))
#define F2(name, function) FORWARD(name, function, (U a, U b), (a, b))
#define F3(name, function) FORWARD(name, function, (U a, U b, U c), (a, b, c))
#define F4(name, function) FORWARD(name, function, (U a, U b, U c, U d), (a, b, c, d))
#define F5(name, function) FORWARD(name, function, (U a, U b, U c, U d, U e), (a, b, c, d, e))
#define F6(name, function) FORWARD(name, function, (U a, U b, U c, U d, U e, U f), (a, b, c, d, e, f))
#define F8(name, function) FORWARD(name, function, (U a, U b, U c, U d, U e, U f, U g, U h), (a, b, c, d, e, f, g, h))

F1(C_Initialize, 0) F1(C_Finalize, 1) F1(C_GetInfo, 2) F3(C_GetSlotList, 4) F2(C_GetSlotInfo, 5) F2(C_GetTokenInfo, 6)
F3(C_GetMechanismList, 7) F3(C_GetMechanismInfo, 8) F4(C_InitToken, 9) F3(C_InitPIN, 10) F5(C_SetPIN, 11)
F5(C_OpenSession, 12) F1(C_CloseSession, 13) F1(C_CloseAllSessions, 14) F2(C_GetSessionInfo, 15)
F3(C_GetOperationState, 16) F5(C_SetOperationState, 17) F4(C_Login, 18) F1(C_Logout, 19)
F4(C_CreateObject, 20) F5(C_CopyObject, 21) F2(C_DestroyObject, 22) F3(C_GetObjectSize, 23)
F4(C_GetAttributeValue, 24) F4(C_SetAttributeValue, 25) F3(C_FindObjectsInit, 26) F4(C_FindObjects, 27) F1(C_FindObjectsFinal, 28)
F3(C_EncryptInit, 29) F5(C_Encrypt, 30) F5(C_EncryptUpdate, 31) F3(C_EncryptFinal, 32)
F3(C_DecryptInit, 33) F5(C_Decrypt, 34) F5(C_DecryptUpdate, 35) F3(C_DecryptFinal, 36)
F2(C_DigestInit, 37) F5(C_Digest, 38) F3(C_DigestUpdate, 39) F2(C_DigestKey, 40) F3(C_DigestFinal, 41)
F3(C_SignUpdate, 44) F3(C_SignFinal, 45) F3(C_SignRecoverInit, 46) F5(C_SignRecover, 47)
F3(C_VerifyInit, 48) F5(C_Verify, 49) F3(C_VerifyUpdate, 50) F3(C_VerifyFinal, 51) F3(C_VerifyRecoverInit, 52) F5(C_VerifyRecover, 53)
F5(C_DigestEncryptUpdate, 54) F5(C_DecryptDigestUpdate, 55) F5(C_SignEncryptUpdate, 56) F5(C_DecryptVerifyUpdate, 57)
F5(C_GenerateKey, 58) F8(C_GenerateKeyPair, 59) F6(C_WrapKey, 60) F8(C_UnwrapKey, 61) F6(C_DeriveKey, 62)
F3(C_SeedRandom, 63) F3(C_GenerateRandom, 64) F1(C_GetFunctionStatus, 65) F1(C_CancelFunction, 66) F3(C_WaitForSlotEvent, 67)

U C_SignInit(U session, U mechanism, U handle) {
    struct rule *late[LATE] = {0};
    U result;
    pthread_mutex_lock(&lock);
    struct key *key = key_of_handle(session, handle);
    signing_key[session % SESSIONS] = key;
    pthread_mutex_unlock(&lock);
    if (key) __atomic_add_fetch(&key->inits, 1, __ATOMIC_SEQ_CST);
    if (before(C_SIGN_INIT, key, late, &result)) return result;
    result = ((U(*)(U, U, U))real[C_SIGN_INIT])(session, mechanism, handle);
    return after(late, result);
}

/* Without a buffer it only asks how long the signature will be, and is counted apart. */
U C_Sign(U session, U data, U length, U signature, U signature_length) {
    struct rule *late[LATE] = {0};
    U result;
    int function = signature ? C_SIGN : QUERY;
    pthread_mutex_lock(&lock);
    struct key *key = signing_key[session % SESSIONS];
    pthread_mutex_unlock(&lock);
    if (key && signature) __atomic_add_fetch(&key->signs, 1, __ATOMIC_SEQ_CST);
    if (before(function, key, late, &result)) return result;
    result = ((U(*)(U, U, U, U, U))real[C_SIGN])(session, data, length, signature, signature_length);
    if (key && signature && result == CKR_OK) __atomic_add_fetch(&key->made, 1, __ATOMIC_SEQ_CST);
    return after(late, result);
}

U C_GetFunctionList(U list);

static struct {
    unsigned char version[2];
    void *functions[FUNCTIONS];
} own = {
    {2, 40},
    {C_Initialize, C_Finalize, C_GetInfo, C_GetFunctionList, C_GetSlotList, C_GetSlotInfo, C_GetTokenInfo, C_GetMechanismList,
     C_GetMechanismInfo, C_InitToken, C_InitPIN, C_SetPIN, C_OpenSession, C_CloseSession, C_CloseAllSessions, C_GetSessionInfo,
     C_GetOperationState, C_SetOperationState, C_Login, C_Logout, C_CreateObject, C_CopyObject, C_DestroyObject, C_GetObjectSize,
     C_GetAttributeValue, C_SetAttributeValue, C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal, C_EncryptInit, C_Encrypt,
     C_EncryptUpdate, C_EncryptFinal, C_DecryptInit, C_Decrypt, C_DecryptUpdate, C_DecryptFinal, C_DigestInit, C_Digest,
     C_DigestUpdate, C_DigestKey, C_DigestFinal, C_SignInit, C_Sign, C_SignUpdate, C_SignFinal, C_SignRecoverInit, C_SignRecover,
     C_VerifyInit, C_Verify, C_VerifyUpdate, C_VerifyFinal, C_VerifyRecoverInit, C_VerifyRecover, C_DigestEncryptUpdate,
     C_DecryptDigestUpdate, C_SignEncryptUpdate, C_DecryptVerifyUpdate, C_GenerateKey, C_GenerateKeyPair, C_WrapKey, C_UnwrapKey,
     C_DeriveKey, C_SeedRandom, C_GenerateRandom, C_GetFunctionStatus, C_CancelFunction, C_WaitForSlotEvent},
};

U C_GetFunctionList(U list) {
    if (!state) return CKR_GENERAL_ERROR;
    __atomic_add_fetch(&state->calls[3], 1, __ATOMIC_SEQ_CST);
    *(void **)list = &own;
    return CKR_OK;
}

/* SoftHSM's callers find OpenSSL's functions through the module; see sealcore.hsm.native. */
void ERR_clear_error(void) {
    void (*clear)(void) = (void (*)(void))dlsym(real_module, "ERR_clear_error");
    if (clear) clear();
}

__attribute__((constructor)) static void begin(void) {
    Dl_info self;
    char path[4096];
    struct {
        unsigned char version[2];
        void *functions[FUNCTIONS];
    } *listed;
    if (!dladdr((void *)begin, &self) || snprintf(path, sizeof path, "%s.state", self.dli_fname) >= (int)sizeof path) return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    struct state *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared == MAP_FAILED) return;
    real_module = dlopen(shared->module, RTLD_NOW | RTLD_LOCAL);
    U (*list)(void *) = real_module ? (U(*)(void *))dlsym(real_module, "C_GetFunctionList") : NULL;
    if (!list || list(&listed) != CKR_OK) return;
    memcpy(real, listed->functions, sizeof real);
    __atomic_add_fetch(&shared->processes, 1, __ATOMIC_SEQ_CST);
    state = shared;
}

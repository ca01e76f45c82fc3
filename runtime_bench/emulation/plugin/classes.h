/* Which class an A64 instruction is counted in, from its 32-bit word.
 *
 * A class is what the mnemonic says, in every Advanced SIMD form of it: vector and by element,
 * 64 and 128 bits wide. Encodings: Arm Architecture Reference Manual for A-profile (DDI 0487),
 * C4.1.96 "Data Processing -- Scalar Floating-Point and Advanced SIMD": "Advanced SIMD three same
 * extra", "three same", "three same (FP16)", "vector x indexed element", "scalar x indexed
 * element". SVE forms have words of their own and are not counted here: no profile has SVE.
 *
 *   dot     SDOT, UDOT, USDOT, SUDOT      four 8-bit products added to each 32-bit lane
 *   matrix  SMMLA, UMMLA, USMMLA          a 2x8 by 8x2 product of 8-bit numbers
 *   fmla    FMLA (half, single, double)   not its scalar sibling FMADD, nor FMLS and FMLAL
 */
#ifndef CLASSES_H
#define CLASSES_H

#include <stddef.h>
#include <stdint.h>

enum instruction_class { OTHER, DOT, MATRIX, FMLA, CLASS_COUNT };

struct encoding {
    uint32_t mask;
    uint32_t value;
    enum instruction_class class;
};

/* Left out of a mask: the registers, Q (bit 30) and U (bit 29) where they do not change the class,
 * and L, M, H (bits 21, 20, 11), which choose the element. */
static const struct encoding ENCODINGS[] = {
    {0x9fe0fc00u, 0x0e809400u, DOT},    /* SDOT, UDOT (vector) */
    {0xbfe0fc00u, 0x0e809c00u, DOT},    /* USDOT (vector) */
    {0x9fc0f400u, 0x0f80e000u, DOT},    /* SDOT, UDOT (by element) */
    {0xbfc0f400u, 0x0f80f000u, DOT},    /* USDOT (by element) */
    {0xbfc0f400u, 0x0f00f000u, DOT},    /* SUDOT (by element) */
    {0xdfe0fc00u, 0x4e80a400u, MATRIX}, /* SMMLA, UMMLA */
    {0xffe0fc00u, 0x4e80ac00u, MATRIX}, /* USMMLA */
    {0xbfa0fc00u, 0x0e20cc00u, FMLA},   /* FMLA (vector), single and double */
    {0xbfe0fc00u, 0x0e400c00u, FMLA},   /* FMLA (vector), half */
    {0xbf80f400u, 0x0f801000u, FMLA},   /* FMLA (by element), single and double */
    {0xbfc0f400u, 0x0f001000u, FMLA},   /* FMLA (by element), half */
    {0xff80f400u, 0x5f801000u, FMLA},   /* FMLA (by element, one lane), single and double */
    {0xffc0f400u, 0x5f001000u, FMLA},   /* FMLA (by element, one lane), half */
};

static inline enum instruction_class classify(uint32_t word)
{
    for (size_t i = 0; i < sizeof ENCODINGS / sizeof *ENCODINGS; i++) {
        if ((word & ENCODINGS[i].mask) == ENCODINGS[i].value) {
            return ENCODINGS[i].class;
        }
    }
    return OTHER;
}

#endif

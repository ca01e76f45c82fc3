// Made by generate_character_table.py, which says how. Do not edit.
// Numbers are in base 36. Ranges: in turn the distance from the last one's end and the
// length - 1. Maps: an entry is the distance from the last character and, apart by
// commas, how far from it those lie that it becomes; *N repeats the entry N times.
// Marks: in turn the distance from the last and the rank.
package org.squeezebert.core.text

/** Removed by clean_text. */
internal const val DROPPED_CODED =
    "0 8 3 1 2 h 2o w e 0 11v 5 n 0 5d 0 1e 0 3cv 0 1kt 4 r 4 1e 4 2 9 11u9 4xr 16o 0 6y 2 2 " +
    "0 3b4 0 xyb 3 440 7 h407 0 v 2n 1egx 1ekd 3 1ekd"

/** End a word. */
internal const val SPACES_CODED =
    "9 4 j 0 2t 0 r 0 4bk 0 1vk a u 1 6 0 1c 0 335 0"

/** Words of their own where asked for. */
internal const val CHINESE_CODED =
    "a9s 533 1t g73 hkx e7 1fk1 wyn x 3dr 75 49b 85t f3"

/** Always words of their own. */
internal const val PUNCTUATION_CODED =
    "x e b 6 r 5 r 3 z 0 6 0 4 0 b 1 4 0 4 0 jj 0 9 0 cz 5 16 1 1g 0 2 0 3 0 3 0 19 1 l 1 2 1" +
    " e 0 3 1 23 3 2v 0 18 d 6i 2 1j e w 0 7a 1 b 0 ao 0 lg 0 2j 0 b 1 4p e 2 0 12 3 20 0 23 " +
    "4 5 1 34 5 4s 0 h1 8 48 0 h9 1 19 1 27 2 20 1 4e 2 2 2 12 a 8q 1 61 1 3l 6 2 5 4t 6 4c 3" +
    " 1o 4 1r 1 1t 7 c 0 n1 n 9 j 2 c 2 b v 1 f 1 hm 3 u 1 u6 d 28 1 w 9 b8 l 1s 3 x 1 l8 3 2" +
    " 1 35 0 40 1a 2 i cf 2 5 9 3 b h 0 d 0 2r 0 2j 0 mwz 1 7i 2 2s 0 b 0 38 5 al 3 2f 1 15 2" +
    " 2 0 1e 1 1c 0 2q c h 1 3h 3 3j 1 h 1 6y 0 g2b 1 5t 9 n y 2 d 2 0 5 0 2 1 46 2 2 5 2 3 b" +
    " 1 4 1 r 2 2 0 s 0 2 0 2 6 bf 2 il 0 1d 0 bj 0 ko 0 5k 0 w 0 7l 8 13 0 35 6 1v 6 2i 3 x7" +
    " 6 32 1 2 3 3j 3 1d 1 28 4 4 0 e 0 2 2 2h 5 30 0 f1 0 6z m 2y 2 6x 2 2lu 4 dtm 1 3q 0 1u" +
    " 4 9 0 g2j 0 5wo 4"

/** Removed with the accents. */
internal const val STRIPPED_CODED =
    "lc 33 7o 4 7e 18 2 0 2 1 2 1 2 0 21 a 1d k h 0 2u 6 3 5 3 1 2 3 10 0 v q 2k a 1n 8 z 3 2" +
    " 8 2 2 2 4 18 2 3s v 1k 0 2 0 5 7 5 0 4 6 b 1 u 0 1n 0 5 3 9 0 l 1 u 1 1m 0 5 1 5 1 3 2 " +
    "4 0 v 1 4 0 c 1 1m 0 5 4 2 1 5 0 l 1 u 0 1n 0 3 0 2 3 9 0 9 0 c 1 v 0 1q 0 d 0 1f 0 1q 2" +
    " 6 2 2 3 8 1 c 1 u 0 1n 0 3 0 7 0 6 1 l 1 u 0 1s 3 9 0 l 1 2v 0 8 2 2 0 2j 0 3 6 d 7 2r " +
    "0 3 5 2 1 c 5 23 1 s 0 2 0 2 0 1k d 2 4 2 1 6 a 2 z a 0 2v 3 2 5 2 1 3 1 q 1 5 2 h 3 e 0" +
    " 3 1 7 0 g 0 jk 2 qb 2 u 2 u 1 v 1 1t 1 2 6 9 0 3 a a 0 1a 2 4c 0 3b 2 5 1 a 0 7 2 64 1 " +
    "3 0 1n 0 2 6 2 0 2 0 3 7 7 9 3 0 1d d 1v 3 1d 0 2 4 2 0 6 0 15 8 d 1 x 3 3 1 2 2 1l 0 2 " +
    "1 4 0 2 2 1n 7 3 1 49 2 2 c 2 6 5 0 7 0 4 1 5j 1h 7 3 k1 c 5 0 4 b 2db 2 3y 0 2p v ff 3 " +
    "30 1 n9x 0 5 9 x 1 29 1 7l 0 4 0 5 0 q 1 4e 0 s h 1h 7 q a 1b 2 1d 0 3 3 3 0 15 0 1w 5 3" +
    " 1 3 1 d 0 9 0 1c 0 1g 0 2 2 3 1 6 1 2 0 17 1 9 0 6n 0 3 0 5 0 fn5 0 ki f h f r2 0 6b 0 " +
    "46 4 1af 2 2 1 6 3 15 2 5 0 4m 1 10b 0 1j e 1l 2 1e 3 3 1 1y 2 11 4 2 7 1r 0 d 1 1h 8 c " +
    "2 2r 2 3 0 2 1 4o 0 4 7 m 1 1n 0 4 0 12 6 4 4 8v 5 2 0 5 1 2 1 6n 3 7 1 2 1 s 1 2e 7 3 0" +
    " 2 1 2z 0 2 0 3 5 2 0 2u 2 3 3 2 4 gjp 4 1o 6 ux 3 f7v 1 43t 2 i 7 3 6 v 3 45 2 1j0 1i 5" +
    " 1d 9 0 f 0 n 4 2 e 2sh 6 gzl6 6n"

/** Those of them that marks do not pass. */
internal const val BARRIERS_CODED =
    "nj 0 uv a 9c 2 1k 0 7 7 d 2 b 1 u 0 1s 3 u 1 u 1 1r 1 5 1 3 1 5 0 v 1 4 0 c 1 1r 4 2 1 q" +
    " 1 u 0 1q 0 2 3 i 0 c 1 v 0 1q 0 1s 0 1q 2 6 2 2 2 m 1 u 0 1q 0 7 0 6 0 m 1 u 0 1s 3 u 1" +
    " 33 2 2 0 2j 0 3 3 g 0 5 2 2r 0 3 3 4 1 g 1 4p 3 5 0 f a 2 z 35 3 2 4 7 1 q 1 5 2 h 3 e " +
    "0 3 1 n 0 19x 1 v 1 v 1 v 1 1t 1 2 6 9 0 3 8 2 0 1k 2 7n 2 5 1 a 0 6h 0 1n 0 2 6 4 0 3 7" +
    " 7 1 3w 3 1f 4 2 0 6 0 1q 1 x 3 3 1 3 1 1n 1 4 0 2 2 1n 7 3 0 rm4 0 9 0 q 1 74 4 t a 1b " +
    "2 1g 3 3 0 15 0 1w 5 3 1 3 1 d 0 9 0 1c 0 34 1 6w 0 3 0 g7s f 2cy 2 2 1 6 0 2 0 16b 0 1j" +
    " d 1n 1 1e 3 35 4 2 5 26 1 1h 8 d 1 2r 2 3 0 3 0 4o 0 4 5 o 1 1r 0 ab 5 2 0 5 1 6q 3 7 1" +
    " v 1 2e 7 3 0 3 0 2z 0 2 0 3 5 2w 2 3 3 2 3 hgl 3 f7v 0 5sz 1i 5 1d 9 0 f 0 n 4 2 e h2dt" +
    " 6n"

/** Character and what is left of it without accents. */
internal const val BASES_CODED =
    "5c,-3j 1,-3k 1,-3l 1,-3m 1,-3n 1,-3o 2,-3o 1,-3n 1,-3o 1,-3p 1,-3q 1,-3n 1,-3o 1,-3p 1,-" +
    "3q 2,-3n 1,-3n 1,-3o 1,-3p 1,-3q 1,-3r 3,-3o 1,-3p 1,-3q 1,-3r 1,-3o 3,-3j 1,-3k 1,-3l 1" +
    ",-3m 1,-3n 1,-3o 2,-3o 1,-3n 1,-3o 1,-3p 1,-3q 1,-3n 1,-3o 1,-3p 1,-3q 2,-3n 1,-3n 1,-3o" +
    " 1,-3p 1,-3q 1,-3r 3,-3o 1,-3p 1,-3q 1,-3r 1,-3o 2,-3q 1,-5b 1,-4g 1,-5d 1,-4i 1,-5f 1,-" +
    "4k 1,-5f 1,-4k 1,-5h 1,-4m 1,-5j 1,-4o 1,-5l 1,-4q 1,-5m 1,-4r 3,-5p 1,-4u 1,-5r 1,-4w 1" +
    ",-5t 1,-4y 1,-5v 1,-50 1,-5x 1,-52 1,-5x 1,-52 1,-5z 1,-54 1,-61 1,-56 1,-63 1,-58 1,-64" +
    " 1,-59 3,-67 1,-5c 1,-69 1,-5e 1,-6b 1,-5g 1,-6d 1,-5i 1,-6f 4,-6i 1,-5n 1,-6j 1,-5o 2,-" +
    "6l 1,-5q 1,-6n 1,-5s 1,-6p 1,-5u 5,-6t 1,-5y 1,-6v 1,-60 1,-6x 1,-62 4,-71 1,-66 1,-73 1" +
    ",-68 1,-75 1,-6a 3,-76 1,-6b 1,-78 1,-6d 1,-7a 1,-6f 1,-7b 1,-6g 1,-7d 1,-6i 1,-7f 1,-6k" +
    " 1,-7h 1,-6m 1,-7i 1,-6n 1,-7k 1,-6p 3,-7n 1,-6s 1,-7p 1,-6u 1,-7r 1,-6w 1,-7t 1,-6y 1,-" +
    "7v 1,-70 1,-7x 1,-72 1,-7x 1,-72 1,-7x 1,-72 1,-7z *1 1,-74 1,-81 1,-76 1,-83 1,-78 y,-9" +
    "d 1,-8i e,-9m 1,-8r t,-b0 1,-a5 1,-au 1,-9z 1,-aq 1,-9v 1,-am 1,-9r 1,-ao 1,-9t 1,-aq 1," +
    "-9v 1,-as 1,-9x 1,-au 1,-9z 2,-bh 1,-am 1,-bj 1,-ao 1,-7w 1,-71 3,-bj 1,-ao 1,-bh 1,-am " +
    "1,-bf 1,-ak 1,-bh 1,-am 1,-1j 1,4j 1,-au 4,-bx 1,-b2 3,-bu 1,-az 1,-c9 1,-be 1,-8m 1,-7r" +
    " 1,-86 1,-7b 1,-cf 1,-bk 1,-ch 1,-bm 1,-cf 1,-bk 1,-ch 1,-bm 1,-cf 1,-bk 1,-ch 1,-bm 1,-" +
    "cd 1,-bi 1,-cf 1,-bk 1,-ce 1,-bj 1,-cg 1,-bl 1,-cf 1,-bk 1,-ch 1,-bm 1,-cl 1,-bq 1,-cm 1" +
    ",-br 3,-d2 1,-c7 7,-dh 1,-cm 1,-df 1,-ck 1,-d7 1,-cc 1,-d9 1,-ce 1,-db 1,-cg 1,-dd 1,-ci" +
    " 1,-d5 1,-ca 8x,-57 a,-n7 7,-kd 1,b 1,-k0 1,d 1,e 1,f 2,j 2,n 1,q 1,15 q,-h 1,-6 1,5 1,8" +
    " 1,9 1,a 1,l q,-h 1,-6 1,-d 1,-8 1,-5 5,-1 1,-2 18,l 1,k 2,g 4,-1 5,e 1,b 1,l b,-1 w,-1 " +
    "n,-r 1,-s 2,-w 4,-1 5,-y 1,-11 1,-r o,-2 1,-2 22,-4r 1,-3w e,-5c 1,-4h 1,-5e 1,-4j 3,-5d" +
    " 1,-4i 3,-2 1,-2 1,-5i 1,-4n 1,-5j 1,-4o 3,-5m 1,-4r 1,-5o 1,-4t 1,-5k 1,-4p 3,-2 1,-2 1" +
    ",-5b 1,-4g 1,-5n 1,-4s 1,-5p 1,-4u 1,-5r 1,-4w 1,-5p 1,-4u 3,-5p 1,-4u 89,5 1,4 1,10 1,2" +
    " 1,10 4a,l 2,-1 h,-1 gm,-1 8,-1 3,-1 10,-1v 1,-1v *1 1,-1r 1,-1n *1 1,-1f 1,-1c 30,-4,-d" +
    " 1,-5,b g,-1n 1,-1n 2,-1c 2c,-1 3,2 z,-1v 1,-1v 1,-1r 3,-1f 6i,-1 3,-4,-d 1,-5,b g,-1n 1" +
    ",-1n 1j,-2,1v 1i,-4,-c 1,-4,-d 1,-6,b 6s,l 7,e 1,e 2,-8 1,-9,a 3j,-4,-c 1,-4,-d 1,-6,b 3" +
    "y,-1 2,-3,-d 1,-4,-e 1,-5,1 9x,-1 a,-1 5,-1 *2 d,-15 59,-1 25c,-1,1b 2,-1,19 2,-1,17 2,-" +
    "1,15 2,-1,13 4,-1,z 15,-6 2,-8 3,-2,-b 1,-2,-c 2,-e jh,-5vj 1,-5uo 1,-5vk 1,-5up 1,-5vm " +
    "1,-5ur 1,-5vo 1,-5ut 1,-5vp 1,-5uu 1,-5vq 1,-5uv 1,-5vs 1,-5ux 1,-5vu 1,-5uz 1,-5vw 1,-5" +
    "v1 1,-5vy 1,-5v3 1,-5vz 1,-5v4 1,-5w1 1,-5v6 1,-5w3 1,-5v8 1,-5w5 1,-5va 1,-5w7 1,-5vc 1" +
    ",-5w8 1,-5vd 1,-5w9 1,-5ve 1,-5wa 1,-5vf 1,-5wc 1,-5vh 1,-5we 1,-5vj 1,-5wg 1,-5vl 1,-5w" +
    "i 1,-5vn 1,-5wj 1,-5vo 1,-5wl 1,-5vq 1,-5wl 1,-5vq 1,-5wn 1,-5vs 1,-5wp 1,-5vu 1,-5wq 1," +
    "-5vv 1,-5ws 1,-5vx 1,-5wu 1,-5vz 1,-5ww 1,-5w1 1,-5wx 1,-5w2 1,-5wz 1,-5w4 1,-5x1 1,-5w6" +
    " 1,-5x2 1,-5w7 1,-5x4 1,-5w9 1,-5x6 1,-5wb 1,-5x8 1,-5wd 1,-5x9 1,-5we 1,-5xb 1,-5wg 1,-" +
    "5xd 1,-5wi 1,-5xf 1,-5wk 1,-5xg 1,-5wl 1,-5xi 1,-5wn 1,-5xi 1,-5wn 1,-5xk 1,-5wp 1,-5xm " +
    "1,-5wr 1,-5xo 1,-5wt 1,-5xp 1,-5wu 1,-5xr 1,-5ww 1,-5xt 1,-5wy 1,-5xv 1,-5x0 1,-5xx 1,-5" +
    "x2 1,-5xy 1,-5x3 1,-5y0 1,-5x5 1,-5y2 1,-5x7 1,-5y4 1,-5x9 1,-5y5 1,-5xa 1,-5y7 1,-5xc 1" +
    ",-5y9 1,-5xe 1,-5yb 1,-5xg 1,-5yd 1,-5xi 1,-5ye 1,-5xj 1,-5yg 1,-5xl 1,-5yh 1,-5xm 1,-5y" +
    "j 1,-5xo 1,-5yl 1,-5xq 1,-5yn 1,-5xs 1,-5yp 1,-5xu 1,-5yq 1,-5xv 1,-5ys 1,-5xx 1,-5yt 1," +
    "-5xy 1,-5yu 1,-5xz 1,-5yw 1,-5y1 1,-5yy 1,-5y3 1,-5ym 1,-5yb 1,-5y9 1,-5y8 2,-5r0 5,-5zz" +
    " 1,-5z4 1,-601 1,-5z6 1,-603 1,-5z8 1,-605 1,-5za 1,-607 1,-5zc 1,-609 1,-5ze 1,-60b 1,-" +
    "5zg 1,-60d 1,-5zi 1,-60f 1,-5zk 1,-60h 1,-5zm 1,-60j 1,-5zo 1,-60l 1,-5zq 1,-60j 1,-5zo " +
    "1,-60l 1,-5zq 1,-60n 1,-5zs 1,-60p 1,-5zu 1,-60r 1,-5zw 1,-60t 1,-5zy 1,-60v 1,-600 1,-6" +
    "0x 1,-602 1,-60v 1,-600 1,-60x 1,-602 1,-60t 1,-5zy 1,-60v 1,-600 1,-60x 1,-602 1,-60z 1" +
    ",-604 1,-611 1,-606 1,-613 1,-608 1,-615 1,-60a 1,-617 1,-60c 1,-619 1,-60e 1,-61b 1,-60" +
    "g 1,-61d 1,-60i 1,-61f 1,-60k 1,-61b 1,-60g 1,-61d 1,-60i 1,-61f 1,-60k 1,-61h 1,-60m 1," +
    "-61j 1,-60o 1,-61l 1,-60q 1,-61n 1,-60s 1,-61l 1,-60q 1,-61n 1,-60s 1,-61p 1,-60u 1,-61r" +
    " 1,-60w 7,-5e7 1,-5e8 1,-5e9 1,-5ea 1,-5eb 1,-5ec 1,-5ed 1,-5ee 1,-5fb 1,-5fc 1,-5fd 1,-" +
    "5fe 1,-5ff 1,-5fg 1,-5fh 1,-5fi 1,-5ej 1,-5ek 1,-5el 1,-5em 1,-5en 1,-5eo 3,-5fn 1,-5fo " +
    "1,-5fp 1,-5fq 1,-5fr 1,-5fs 3,-5ex 1,-5ey 1,-5ez 1,-5f0 1,-5f1 1,-5f2 1,-5f3 1,-5f4 1,-5" +
    "g1 1,-5g2 1,-5g3 1,-5g4 1,-5g5 1,-5g6 1,-5g7 1,-5g8 1,-5fb 1,-5fc 1,-5fd 1,-5fe 1,-5ff 1" +
    ",-5fg 1,-5fh 1,-5fi 1,-5gf 1,-5gg 1,-5gh 1,-5gi 1,-5gj 1,-5gk 1,-5gl 1,-5gm 1,-5fl 1,-5f" +
    "m 1,-5fn 1,-5fo 1,-5fp 1,-5fq 3,-5gp 1,-5gq 1,-5gr 1,-5gs 1,-5gt 1,-5gu 3,-5fv 1,-5fw 1," +
    "-5fx 1,-5fy 1,-5fz 1,-5g0 1,-5g1 1,-5g2 2,-5h0 2,-5h2 2,-5h4 2,-5h6 1,-5g7 1,-5g8 1,-5g9" +
    " 1,-5ga 1,-5gb 1,-5gc 1,-5gd 1,-5ge 1,-5hb 1,-5hc 1,-5hd 1,-5he 1,-5hf 1,-5hg 1,-5hh 1,-" +
    "5hi 1,-5hb 1,-5hc 1,-5h9 1,-5ha 1,-5h9 1,-5ha 1,-5h9 1,-5ha 1,-5h5 1,-5h6 1,-5h1 1,-5h2 " +
    "1,-5gz 1,-5h0 3,-5hr 1,-5hs 1,-5ht 1,-5hu 1,-5hv 1,-5hw 1,-5hx 1,-5hy 1,-5iv 1,-5iw 1,-5" +
    "ix 1,-5iy 1,-5iz 1,-5j0 1,-5j1 1,-5j2 1,-5i1 1,-5i2 1,-5i3 1,-5i4 1,-5i5 1,-5i6 1,-5i7 1" +
    ",-5i8 1,-5j5 1,-5j6 1,-5j7 1,-5j8 1,-5j9 1,-5ja 1,-5jb 1,-5jc 1,-5hz 1,-5i0 1,-5i1 1,-5i" +
    "2 1,-5i3 1,-5i4 1,-5i5 1,-5i6 1,-5j3 1,-5j4 1,-5j5 1,-5j6 1,-5j7 1,-5j8 1,-5j9 1,-5ja 1," +
    "-5j3 1,-5j4 1,-5j5 1,-5j6 1,-5j7 2,-5j9 1,-5ja 1,-5k7 1,-5k8 1,-5k9 1,-5ka 1,-5kb 2,-5j9" +
    " 3,-655 1,-5jf 1,-5jg 1,-5jh 2,-5jj 1,-5jk 1,-5kj 1,-5kk 1,-5kj 1,-5kk 1,-5kl 1,-e 1,-f " +
    "1,-g 1,-5jr 1,-5js 1,-5jt 1,-5ju 3,-5jx 1,-5jy 1,-5kv 1,-5kw 1,-5kx 1,-5ky 2,x 1,w 1,v 1" +
    ",-5jv 1,-5jw 1,-5jx 1,-5jy 1,-5k3 1,-5k4 1,-5k1 1,-5k2 1,-5kz 1,-5l0 1,-5l1 1,-5l2 1,-5l" +
    "7 1,-66d 1,-66e 1,-68f 3,-5k9 1,-5ka 1,-5kb 2,-5kd 1,-5ke 1,-5ll 1,-5lm 1,-5ld 1,-5le 1," +
    "-5lf 1,-66h 3,2 1,2 85,-5tp 4,-6hr 1,-6i2 33,-a 1,-9 j,-q v,3 1,6 1,3 1h,-1 5,-1 3,-1 o," +
    "-1 2,-1 r,-5 3,-1 3,-2 2,-1 n,-6qr 2,-1 b,-w 1,-6r6 1,-6r5 1,-c *1 3,-2 1,-2 3,-2 1,-2 7" +
    ",-6 1,-6 3,-2 1,-2 3,-2 1,-2 z,-a 1,-5 *1 1,-4 1d,-2s 1,-2s 1,-29 *1 7,-1k 1,-1k *2 1o,2" +
    "jj 1,2jj 1iq,1 12o,-1 2,-1 *a 3,-1 2,-1 *1 7,-1 1,-2 2,-1 1,-2 2,-1 1,-2 2,-1 1,-2 2,-1 " +
    "1,-2 n,-26 a,-1 e,-1 2,-1 *a 3,-1 2,-1 *1 7,-1 1,-2 2,-1 1,-2 2,-1 1,-2 2,-1 1,-2 2,-1 1" +
    ",-2 n,-26 3,-8 1,-8 *2 4,-1 13ia,-lh4 1,-sul 1,-kzc 1,-ldn 1,-rar 1,-xqr 1,-wm9 1,-hnv 1" +
    ",-hnw 1,-vjs 1,-ke1 1,-was 1,-vk4 1,-tuf 1,-pt1 1,-o0a 1,-moh 1,-mdz 1,-m56 1,-kn8 1,-s9" +
    "e 1,-rne 1,-qwt 1,-qbd 1,-n2z 1,-khb 1,-isp 1,-xp5 1,-wpz 1,-s2h 1,-qo3 1,-mpe 1,-hz6 1," +
    "-us1 1,-r3r 1,-ms6 1,-m2o 1,-tp8 1,-nke 1,-mbs 1,-uhq 1,-suq 1,-rls 1,-qi7 1,-km6 1,-xif" +
    " 1,-x2v 1,-wup 1,-tbg 1,-s4e 1,-qoy 1,-pqk 1,-nxv 1,-mr3 1,-moq 1,-l6w 1,-jd2 1,-iiy 1,-" +
    "i0w 1,-pf3 1,-p8d 1,-of1 1,-n79 1,-k6z 1,-hxd 1,-lt7 1,-voj 1,-ugv 1,-oo4 1,-nuv 1,-qn8 " +
    "1,-pdp 1,-lfq 1,-jf6 1,-voy 1,-uzt 1,-sah 1,-rjn 1,-rb3 1,-oio 1,-obd 1,-jk6 1,-ww0 1,-n" +
    "uw 1,-x2w 1,-x3d 1,-p4q 1,-oex 1,-n6v 1,-jj8 1,-lp6 1,-tqk 1,-sbe 1,-lsv 1,-xt1 1,-v3s 1" +
    ",-ua6 1,-qfu 1,-q2a 1,-wuk 1,-pd5 1,-xie 1,-ud9 1,-xui 1,-rrw 1,-t81 1,-ojs 1,-wq0 1,-vt" +
    "a 1,-prg 1,-n51 1,-lvp 1,-rzq 1,-kw1 1,-ru2 1,-tpx 1,-nf3 1,-tlh 1,-q35 1,-xqh 1,-x73 1," +
    "-x4g 1,-smx 1,-olw 1,-nil 1,-luz 1,-khb 1,-wwa 1,-wn2 1,-vm6 1,-uja 1,-t6m 1,-r5y 1,-pcr" +
    " 1,-jq1 1,-isd 1,-hyp 1,-hx7 1,-wz3 1,-szp 1,-s2d 1,-kyz 1,-umy 1,-u0v 1,-txs 1,-tfb 1,-" +
    "rcf 1,-qx6 1,-qa3 1,-p8r 1,-of6 1,-nxk 1,-l0y 1,-n1n 1,-ktz 1,-k7l 1,-x39 1,-wze 1,-wkh " +
    "1,-r13 1,-mam 1,-lx3 1,-ul5 1,-ucu 1,-tnt 1,-s1j 1,-ors 1,-qia 1,-xqc 1,-w4w 1,-v5v 1,-u" +
    "sx 1,-uc0 1,-qgr 1,-qbp 1,-o45 1,-nze 1,-kfx 1,-ji4 1,-jfv 1,-ja4 1,-xm2 1,-pag 1,-kjn 1" +
    ",-jk0 1,-u6w 1,-xtg 1,-xcx 1,-v66 1,-v3y 1,-t9h 1,-se5 1,-quq 1,-pz3 1,-n2e 1,-ksn 1,-ht" +
    "j 1,-t31 1,-jo8 1,-x1a 1,-swd 1,-st2 1,-rrd 1,-rhr 1,-qf7 1,-q5w 1,-pk3 1,-on3 1,-j8y 1," +
    "-x9g 1,-tyc 1,-jmj 1,-xih 1,-uyk 1,-rn0 1,-l2l 1,-uh9 1,-u51 1,-ssj 1,-qj8 1,-jme 1,-x4k" +
    " 1,-wr3 1,-v3u 1,-t71 1,-syb 1,-soq 1,-rum 1,-qfy 1,-q2r 1,-o6l 1,-mc8 1,-mbr 1,-kkd 1,-" +
    "jk8 1,-wx8 1,-rhu 1,-wr4 1,-qvy 1,-qc7 1,-mwm 1,-jm6 1,-ihn 1,-i1g 1,-swt 1,-roq 1,-npq " +
    "1,-p4c 1,-p20 1,-orr 1,-qpm 1,-r4y 1,-lus 1,-xtp 1,-ngo 1,-x51 1,-x6h 1,-uor 1,-tv3 1,-o" +
    "q5 1,-vb3 1,-rtz 1,-t3m 1,-l3g 1,-mgs 1,-jp8 1,-m7z 1,-uns 1,-xcc 1,-wgd 3,-vxy 2,-t5q 3" +
    ",-x87 1,-qng 1,-pxp 1,-pgc 1,-pff 1,-pf9 1,-pe4 1,-jie 1,-orj 1,-o69 2,-mxa 2,-lyi 3,-kx" +
    "9 1,-krt 4,-j7f 1,-j73 1,-j5w 1,-i9l 1,-ksw 1,-jnc 1,-xoi 1,-xfu 1,-xd1 1,-x2i 1,-x1s 1," +
    "-wys 1,-wih 1,-wfl 1,-wcw 1,-vzt 1,-vwy 1,-v6f 1,-v66 1,-ucp 1,-u6u 1,-u5t 1,-u32 1,-tf6" +
    " 1,-tb4 1,-t6a 1,-ssf 1,-rta 1,-ros 1,-rhh 1,-r16 1,-qvy 1,-qi0 1,-pmi 1,-phq 1,-phg 1,-" +
    "phi 1,-phb 1,-ph6 1,-ph0 1,-pfp *1 1,-pas 1,-p90 1,-p06 1,-okj 1,-ojz 1,-oig 1,-oa0 1,-o" +
    "5y 1,-nsf 1,-nok 1,-nol 1,-nbc 1,-mds 1,-ma3 1,-m01 1,-lyi 1,-ln5 1,-llp 1,-l2o 1,-kz3 1" +
    ",-jnp 1,-jfu 1,-je7 1,-ueu 1,1sw2 1,-nrp 3,-y16 1,-xbw 1,-xe2 1,-xrn 1,-xf3 1,-xdh 1,-x4" +
    "f 1,-x31 1,-wkb 1,-wmc 1,-wkh 1,-wih 1,-w0y 1,-vyi 1,-vui 1,-vu3 1,-vmm 1,-vh5 1,-ur4 1," +
    "-uqy 1,-umz 1,-ul4 1,-ucu 1,-u9l 1,-ubk 1,-u7v 1,-u96 1,-u55 1,-u3c 1,-ts9 1,-tpu 1,-tod" +
    " 1,-th6 1,-t99 1,-t4r 1,-t4o 1,-t32 1,-s9o 1,-s7w 1,-rx2 1,-rlp 1,-rm6 1,-rjs 1,-rct 1,-" +
    "r3i 1,-pva 1,-qy1 1,-quo 1,-qra 1,-qi8 1,-qe4 1,-qco 1,-q6f 1,-q6e 1,-q1o 1,-q18 1,-q0k " +
    "1,-py7 1,-pyi 1,-pnj 1,-pa3 1,-p2l 1,-oxf 1,-or8 1,-on0 1,-odv 1,-o8d 1,-nkx 1,-ngl 1,-m" +
    "rg 1,-met 1,-mcx 1,-mci 1,-m4a 1,-m2q 1,-m40 1,-m2j 1,-m2n 1,-m35 1,-m12 1,-lyu 1,-lo9 1" +
    ",-l8q 1,-l01 1,-krv 1,-klr 1,-jt6 1,-jqc 1,-jn6 1,-jji 1,-jij 1,-ji8 1,-jgx 1,-iwr 1,-i0" +
    "i 1,1njv 1,1njo 1,1ptw 1,-11rp 1,-10vv 1,-10uz 1,1vuc 1,1xx6 1,24n0 1,-i39 1,-i17 1w,-1c" +
    "g4 2,-1cfh b,-1cg1 1,-1cg2 1,-1cg3 1,-1cg4 1,-1cgu 1,-1cgv 1,-1cgw *6 2,-1cgw 1,-1cgw *3" +
    " 2,-1cgw *1 1,-1cgw 2,-1cgw 1,-1cgw 2,-1cgw 1,-1cgw *3 1,-1chi 1,-1chn 1,-1che 1,-1ch6 4" +
    "7g,-1 2,-1 f,-6 io,-4,-d 1,-5,b a7,-2 1,-3,-c 2,-5,-1 70,-2,-b 1,-2,-c 112b,-7,7 1,-7,6 " +
    "1,-8,5,e 1,-9,4,e 1,-a,3,e 1,-b,2,e 1,-c,1,e 2f,-2,-2e 1,-2,-2f 1,-4,-2g,-27 1,-4,-2h,-2" +
    "8 1,-6,-2i,-28 1,-6,-2j,-29 1m4g,-3qo3 1,-3qo9 1,-3qo1 1,-1crl 1,-3qg4 1,-3qdz 1,-3qdn 1" +
    ",-3qbp 1,-3q8e 1,-3q7k 1,-3q5f 1,-3q64 1,-3vqm 1,-1brn 1,-3q2p 1,-3q2j 1,-3q24 1,-3q1m 1" +
    ",-1bzq 1,-3vq2 1,-3q25 1,-3q14 1,-1byj 1,-3q0w 1,-3q0k 1,-3qkt 1,-3q0e 1,-3q06 1,-k71 1," +
    "-3pyg 1,-3py3 1,-3vpc 1,-3pwl 1,-3pwb 1,-3pv4 1,-3pv0 1,-3vnz 1,-3psu 1,-3pst 1,-3ps3 1," +
    "-3pri 1,-3pr8 *1 1,-3pqs 1,-3ppf 1,-3pp8 1,-3pp0 1,-3poc 1,-3po3 1,-3po2 1,-3po3 1,-3po4" +
    " 1,-1b0o 1,-3jyd 1,-3pm4 1,-3plk 1,-1as5 1,-3pla 1,-3pl5 1,-3pkl 1,-3pge 1,-3pj9 1,-3piu" +
    " 1,-3phz 1,-3pge 1,-3pe3 1,-3pde 1,-3pbk 1,-3pb5 1,-3pa9 1,-3paa 1,-3p9q 1,-3p99 1,-3p92" +
    " 1,-3p8o 1,-3oz9 1,-3p6u 1,-3oza 1,-3p4t 1,-3p3v 1,-3pzd 1,-3omb 1,-3ouc 1,-3otb 1,-3osn" +
    " 1,-3owa 1,-3oro 1,-3orq 1,-3ooc 1,-18xh 1,-3omg 1,-3omc 1,-3oly 1,-3olf 1,-3ol8 1,-3ojh" +
    " 1,-18l4 1,-18jb 1,-3ofq 1,-3oeg 1,-3oe5 1,-3ogd 1,-3ocg 1,-3vcp 1,-3vcc 1,-3o81 1,-3o6k" +
    " 1,-3o6l 1,-17z8 1,-3o2y 1,-3o2e 1,-3o20 1,-3o1p 1,-17q1 1,-3o1f 1,-3o19 1,-3ndt 1,-3o0j" +
    " 1,-3v91 1,-3nyv 1,-3nyi 1,-3nw9 1,-3nxp 1,-176f 1,-3nsp 1,-176f 1,-3nrk 1,-3nro 1,-3nr8" +
    " 1,-3nog *1 1,-3v4k 1,-3nnr 1,-3nml 1,-3nm1 1,-3nku 1,-3v3a 1,-16h2 1,-3v2m 1,-3niz 1,-3" +
    "nix 1,-3niv 1,-3nic 1,-gsd 1,-3ngy 1,-165c 1,-165d 1,-3gk2 1,-3ng2 1,-3ng3 1,-3v0v 1,-13" +
    "33 1,-try 1,-3nef 1,-3ne7 1,-3v08 1,-3ncy 1,-3nbk 1,-3nbb 1,-3nae 1,-3n6n 1,-3uxz 1,-3uy" +
    "u 1,-3n67 1,-15g0 1,-3n4u 1,-3n1a 1,-3n17 1,-3n16 1,-3n19 1,-3n00 1,-3mzh 1,-3myi 1,-3my" +
    "x 1,-3myn 1,-3mxd 1,-3mwu 1,-3mwr 1,-3mw2 1,-3mvs 1,-3mtz 1,-3mro 1,-3mqq 1,-3mnb 1,-14m" +
    "k 1,-3mnw 1,-3mpq 1,-3mmr 1,-3mm1 1,-3mjd 1,-14gd 1,-3mhp 1,-3mkb 1,-3ml4 1,-3us4 1,-3mf" +
    "u 1,-3mfa 1,-3meg 1,-3mfj 1,-3uqj 1,-3m9l 1,-3m8t 1,-13nk 1,-3m5k 1,-3lxw 1,-3m2s 1,-3ul" +
    "x 1,-3m0u 1,-3umg 1,-3unh 1,-3q68 1,-3q66 1,-3lxw 1,-3m0p 1,-3gvd 1,-3svy 1,-3lxd 1,-3lx" +
    "a 1,-3lx5 1,-3lvh 1,-3lvt 1,-12xm 1,-3ul1 1,-3lr9 1,-3luj 1,-3lov 1,-3lnh 1,-12t2 1,-3ln" +
    "a 1,-3lqe 1,-3ljm 1,-3uiy 1,-3lie 1,-3lfq 1,-3lds 1,-3l8j 1,-12dl 1,-3l76 1,-3ufq 1,-3l5" +
    "a 1,-11zd 1,-3l3x 1,-3uec 1,-3l35 1,-3l1x 1,-3l17 *1 1,-11m2 1,-17fx 1,-11j3 1,-3kx8 1,-" +
    "116n 1,-3ku5 1,-3kts 1,-3kwn 1,-3krt 1,-3kqq 1,-3kp6 1,-3kqp 1,-3kpm 1,-3kp8 1,-3kow 1,-" +
    "1148 1,-3kr7 1,-3kk9 1,-3kij 1,-3u8n 1,-3kg0 1,-3kg5 1,-10sc 1,-3klx 1,-3kbl 1,-10oi 1,-" +
    "10n7 1,-3k98 1,-3k62 1,-3k6u 1,-3k6y 1,-3u68 1,-3k5p 1,-3k4b 1,-3k4i 1,-3k31 1,-1c6u 1,-" +
    "3jyv 1,-103e 1,-3jwi 1,-zuc 1,-3jso 1,-3jsc 1,-3jrm 1,-zdn 1,-3jqc 1,-3jps 1,-z5d 1,-yz7" +
    " 1,-3jji 1,-3jj2 1,-3tz2 1,-3jie 1,-3tys 1,-3tyt 1,-3jdz 1,-3jdf 1,-3jcv 1,-3jcc 1,-3jag" +
    " 1,-3tw8 1,-3j80 1,-y67 1,-3j7c 1,-y3p 1,-3j60 1,-16l6 1,-3j1m 1,-xi2 1,-xhg 1,-xdl 1,-3" +
    "tqa 1,-3tpz 1,-3ivg 1,-x8u 1,-x8w 1,-x7u 1,-x75 1,-3iuf *1 1,-3iug 1,-3ita 1,-3tow 1,-3i" +
    "rj 1,-3tol 1,-3tme 1,-wmo 1,-3im8 1,-3ikj 1,-3iis 1,-3tke 1,-w8c 1,-3if1 1,-w56 1,-w40 1" +
    ",-3idj 1,-3ib0 1,-3tih 1,-3i8p 1,-3i8g 1,-3i8c 1,-vkw 1,-vcm 1,-vcn 1,-3i41 1,-3tcu 1,-v" +
    "5i 1,-3hy4 1,-3hy2 1,-3tbx 1,-uzp 1,-3hqs 1,-3t8n 1,-3hq8 1,-3hqe 1,-3hpm 1,-ued 1,-3hmx" +
    " 1,-3t64 1,-3hk7 1,-3hil 1,-3hgr 1,-3t4t 1,-tvu 1,-tv0 1,-3t3v 1,-tr0 1,-3h8c 1,-to9 1,-" +
    "3h7n 1,-3h4v 1,-3h4l 1,-tcx 1,-tax 1,-3h25 1,-t7a 1,-3h1r 1,-134x 1,-3t0s 1,-3h00 1,-3gx" +
    "s 1,-3szd 1,-3gw7 1,-3oi9 1,-stc 1,-ssz 1,-133q 1,-133i 1,-3gqy 1,-3gqw 1,-3e27 1,-3swz " +
    "1,-3gn2 1,-3gn9 1,-3gms 1,-3q3j 1,-3gma 1,-3gm9 1,-3gm0 1,-3gkw 1,-s4b 1,-3gkz 1,-3gjg 1" +
    ",-3ghj 1,-3gfi 1,-3gjd 1,-3gf4 1,-3gdz 1,-3gaw 1,-3gi5 1,-3gev 1,-3geu 1,-3gef 1,-rxq 1," +
    "-rp6 1,-rtd 1,-3ssc 1,-3g6v 1,-3g6u 1,-3g5w 1,-qg1 1,-3g3s 1,-rcx 1,-3sr5 1,-3sr2 1,-r9b" +
    " 1,-r1b 1,-3sqv 1,-3fxf 1,-3fx4 1,-3fwu 1,-3fwt 1,-3fv2 1,-3fw0 1,-3fsb 1,-3ftk 1,-3fpe " +
    "1,-3fro 1,-3fpu 1,-3fp4 1,-3so8 1,-3fmn 1,-3fls 1,-3snd 1,-3fj7 1,-3fj5 1,-py6 1,-3ffz 1" +
    ",-3fft 1,-3slv 1,-3ff3 1,-3w27 1,-pi5 1,-pd2 1,-3si7 1,-3shz 1,-3f3j 1,-3f1f 1,-3ex3 1,-" +
    "3erh 1,-oq3 1,-3ep5 1,-3eok 1,-3em3 1,-3ejk 1,-o89 1,-1brp 1,-3ehb 1,-3ehr 1,-3egc 1,-1b" +
    "lr 1,-3ea2 1,-3e7b 1,-mxa 1,-mwk 1,-3dxq 1,-3dv6 1,-3dub 1,-mnr 1,-3du3 1,-3dm7 1,-3dht " +
    "*1 1,-3dke 1,-3d9u 1,-3d93 1,-lpv 1,-3cyr 1,-3ryy 1,-3cxl 1,-lfe 1,-3rws 1,-3cq8 1,-3o02" +
    " 1,-3cnm 1,-koh 1,-kil 1,-3rt6 1,-3rsz 1,-3cii 1,-k4x 1,-3rre 1,-k13 1,-3chf 1,-3chg 1,-" +
    "3cgn 1,-jt7 1,-3cbk 1,-3ro0 1,-3c9n 1,-3c66 1,-3c5g 1,-3c3t 1,-3rju 1,-iqh 1,-3bw8 1,-3b" +
    "nv 1,-3bin 1,-3rcv 1,-3rc1 1,-3bfs 1,-hmq 1,-3rbt 1,-hl9 1,-hdx 1,-hab 1,-3b6i 1,-3r9c 1" +
    ",-3b4u 1,-3b4q 1,-3b4k 1,-3b4b 1,-3b45 1,-3b35 1,-gm5"

/** Character and its lower case. */
internal const val LOWER_CODED =
    "1t,w 1,w *o 2u,w 1,w *l 2,w 1,w *5 y,1 2,1 *m 2,-5j,d3 2,1 *2 3,1 2,1 *6 3,1 2,1 *l 2,-3" +
    "d 1,1 2,1 *1 4,5u 1,1 2,1 2,5q 1,1 2,5p 1,5p 1,1 3,27 1,5m 1,5n 1,1 2,5p 1,5r 2,5v 1,5t " +
    "1,1 4,5v 1,5x 2,5y 1,1 2,1 *1 2,62 1,1 2,62 3,1 2,62 1,1 2,61 1,61 1,1 2,1 2,63 1,1 4,1 " +
    "8,2 1,1 2,2 1,1 2,2 1,1 2,1 *7 3,1 2,1 *7 3,2 1,1 2,1 2,-2p 1,-1k 1,1 2,1 *i 2,-3m 2,1 *" +
    "8 8,8bv 1,1 2,-4j 1,8bs 3,1 2,-5f 1,1x 1,1z 1,1 2,1 *3 82,1 2,1 4,1 9,38 7,12 2,11 1,11 " +
    "*1 2,1s 2,1r 1,1r 2,w 1,w *f 2,w 1,w *7 10,8 9,1 2,1 *a 6,-1o 3,1 2,-7 1,1 3,-3m 1,-3m *" +
    "1 1,28 *f 1,w *v 1d,1 2,1 *f a,1 2,1 *p 2,f 1,1 2,1 *5 3,1 2,1 *1a 3,1c 1,1c *10 28a,5ls" +
    " 1,5ls *10 2,5ls 6,5ls k3,tzk 1,tzk *26 1,8 *5 1p0,1 7,-2bk 1,-2bk *15 3,-2bk 1,-2bk *1 " +
    "8x,1 2,1 *21 a,-5vj 2,1 *1b a,-8 1,-8 *6 9,-8 1,-8 *4 b,-8 1,-8 *6 9,-8 1,-8 *6 9,-8 1,-" +
    "8 *4 c,-8 2,-8 *2 9,-8 1,-8 *6 p,-8 1,-8 *6 9,-8 1,-8 *6 9,-8 1,-8 *6 9,-8 1,-8 1,-22 *1" +
    " 1,-9 c,-2e 1,-2e *2 1,-9 c,-8 1,-8 1,-2s *1 d,-8 1,-8 1,-34 *1 1,-7 c,-3k 1,-3k 1,-3i *" +
    "1 1,-9 8a,-5st 4,-6gv 1,-6di 7,s 1a,g 1,g *e k,1 mr,q 1,q *o 1f5,1c 1,1c *1a 1d,1 2,-8af" +
    " 1,-2xy 1,-89z 3,1 2,1 *1 2,-8bg 1,-8al 1,-8bj 1,-8bi 2,1 3,1 9,-8cf 1,-8cf 1,1 2,1 *1c " +
    "9,1 2,1 5,1 nym,1 2,1 *l k,1 2,1 *c 3s,1 2,1 *5 4,1 2,1 *t b,1 2,1 2,-r9g 1,1 2,1 *3 5,1" +
    " 2,-wmg 3,1 2,1 4,1 2,1 *8 2,-wn8 1,-wnj 1,-wnf 1,-wn5 1,-wn8 2,-wlu 1,-wmi 1,-wlx 1,ps " +
    "1,1 2,1 *6 2,-1c 1,-wn7 1,-raw 1,1 2,1 2,-wo7 1,1 2,1 *6 2,-wu9 p,1 h7w,w 1,w *o xy,14 1" +
    ",14 *12 3t,14 1,14 *y 4d,13 1,13 *9 2,13 1,13 *d 2,13 1,13 *5 2,13 1,13 1d7,1s 1,1s *1d " +
    "4e,w 1,w *k 27v,w 1,w *u gw1,w 1,w *u 1t,r 1,r *n o5k,y 1,y *w"

/** Marks that stay, and the rank of their combining class. */
internal const val MARKS_CODED =
    "1qs 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 3mr 2 2u 2 20 2 1 2 eg 6 3lf 4" +
    " 1 4 nxg 2 31 2 kjk 2 39 2 7s 2 6t 2 4 1 hc 2 13d 2 zs6 3 1 3 7 5 1 3 1 3 1 3 1 3 1 3 2v" +
    "i 6 1 6 1 6 1 6 1 6 1 6 1 6 2 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 1 6 " +
    "1 6 1 6 3 6 1 6 1 6 1 6 1 6 1 6 1 6 2 6 1 6 2 6 1 6 1 6 1 6 1 6 1sq 6 1 6 1 6 1 6 1 6 1 " +
    "6 1 1"

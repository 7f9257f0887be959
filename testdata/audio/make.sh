#!/bin/sh
# Makes the files of this directory with ffmpeg and libopus: what goes in is made by formulas, what comes out is what
# another decoder than ours hears.
set -eu
cd "$(dirname "$0")"
ff() { ffmpeg -hide_banner -loglevel error -y -bitexact "$@"; }

# A voice of sorts: harmonics of a pitch that glides, cut into syllables. Left and right of the stereo one differ.
left="0.11*(sin(2*PI*(140*t+25*t*t))+0.8*sin(4*PI*(140*t+25*t*t))+0.6*sin(8*PI*(140*t+25*t*t))+0.5*sin(14*PI*(140*t+25*t*t)))*(0.2+sin(4*PI*t)*sin(4*PI*t))+0.03*sin(2*PI*2600*t)"
right="0.2*sin(2*PI*(300+150*sin(2*PI*1.5*t))*t)+0.05*sin(2*PI*9000*t)"
mono="aevalsrc=exprs=$left:s=48000:d=1.2"
stereo="aevalsrc=exprs=$left|$right:s=48000:d=1.2"

ff -f lavfi -i "$mono" -c:a libopus -application voip -b:a 12k silk.opus
ff -f lavfi -i "$mono" -c:a libopus -application voip -b:a 28k hybrid.opus
ff -f lavfi -i "$stereo" -c:a libopus -application audio -b:a 64k stereo.opus
ff -f lavfi -i "$mono" -ar 16000 -c:a g722 -f g722 voice.g722

ff -c:a libopus -i stereo.opus -af "pan=mono|c0=0.5*c0+0.5*c1" -f s16le stereo.pcm
for name in silk hybrid; do ff -c:a libopus -i $name.opus -f s16le $name.pcm; done
ff -f g722 -i voice.g722 -f s16le voice.pcm
for name in silk hybrid stereo voice; do gzip -9nf $name.pcm; done

#!/bin/sh
# Makes test/media/clip, the title of the demo and the tests: 24 s of drifting colour, a running clock and a small tune,
# as multi-rendition HLS in fMP4 with 2 s segments. Needs ffmpeg with libx264 and drawtext.
set -eu

out=${1:-"$(dirname "$0")/../test/media/clip"}
seconds=24
font=$(fc-match -f '%{file}' 'DejaVu Sans Mono:bold')

# A tune in half-second steps, as semitones above A3, over a slow bass. Each note dies away before the next one starts.
tune="0 7 12 16 14 12 7 4 -3 4 9 12 11 9 4 0 -7 0 5 9 7 5 0 -3 -5 2 7 11 14 11 7 2"
steps=$(echo "$tune" | wc -w)
pitch=0
bass=0
step=0
for note in $tune; do
	pitch="$pitch+eq(mod(floor(t*2)\,$steps)\,$step)*$note"
	[ $((step % 8)) -eq 0 ] && bass="$bass+eq(mod(floor(t/4)\,$((steps / 8)))\,$((step / 8)))*$note"
	step=$((step + 1))
done
note="st(0\,220*pow(2\,($pitch)/12))\;exp(-5*mod(t\,0.5))*min(1\,mod(t\,0.5)*200)*(0.30*sin(2*PI*ld(0)*t)+0.10*sin(4*PI*ld(0)*t)+0.04*sin(6*PI*ld(0)*t))"
low="st(1\,110*pow(2\,($bass)/12))\;exp(-0.7*mod(t\,4))*min(1\,mod(t\,4)*50)*0.22*sin(2*PI*ld(1)*t)"

colours="gradients=s=640x360:r=25:d=$seconds:n=5:c0=0x0b1d3a:c1=0x14507a:c2=0x1f9e9a:c3=0xf2a65a:c4=0x6a2c70:x0=0:y0=40:x1=640:y1=320:speed=0.012:seed=7"
ball="color=c=0xfff3d6:s=64x64:r=25:d=$seconds,format=yuva420p,geq=lum='p(X,Y)':cb='p(X,Y)':cr='p(X,Y)':a='255*clip(31.5-hypot(X-31.5,Y-31.5),0,1)'"

rm -rf "$out"
mkdir -p "$out"
ffmpeg -v error -y -fflags +bitexact \
	-f lavfi -i "$colours" -f lavfi -i "$ball" -f lavfi -i "aevalsrc=$note+($low):s=48000:d=$seconds" \
	-filter_complex "
		[0:v][1:v]overlay=x='288+240*sin(2*PI*t/8)':y='212-150*abs(sin(PI*t))':eval=frame[moving];
		[moving]drawtext=fontfile=$font:text='%{pts\:hms}':fontsize=44:fontcolor=white:borderw=3:bordercolor=0x0b1d3a:x=(w-text_w)/2:y=292,
			drawtext=fontfile=$font:text='larder':fontsize=24:fontcolor=white@0.8:x=24:y=20,
			format=yuv420p,split=3[high][b][c];
		[b]scale=426:240:flags=lanczos[middle];[c]scale=256:144:flags=lanczos[small];
		[2:a]alimiter=limit=0.8,pan=stereo|c0=c0|c1=c0,asplit=3[s1][s2][s3]" \
	-map '[high]' -map '[s1]' -map '[middle]' -map '[s2]' -map '[small]' -map '[s3]' \
	-c:v libx264 -preset slow -profile:v main -threads 1 -g 50 -keyint_min 50 -sc_threshold 0 -flags +cgop+bitexact \
	-b:v:0 560k -maxrate:v:0 700k -bufsize:v:0 1120k \
	-b:v:1 270k -maxrate:v:1 340k -bufsize:v:1 540k \
	-b:v:2 110k -maxrate:v:2 140k -bufsize:v:2 220k \
	-c:a aac -b:a 64k -t "$seconds" \
	-f hls -hls_time 2 -hls_playlist_type vod -hls_flags independent_segments -hls_segment_type fmp4 \
	-hls_fmp4_init_filename init.mp4 -hls_segment_filename "$out/%v/%02d.m4s" \
	-master_pl_name master.m3u8 \
	-var_stream_map 'v:0,a:0,name:360p v:1,a:1,name:240p v:2,a:2,name:144p' "$out/%v/index.m3u8"
